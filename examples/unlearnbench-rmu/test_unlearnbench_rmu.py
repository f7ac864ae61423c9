"""RMU keeps the promises of a method, and its loss is the paper's."""

import pytest
import torch
from unlearnbench_rmu import RMU

from unlearnbench.api import Batch, Part
from unlearnbench.testing import Check, method_checks


@pytest.mark.parametrize("check", method_checks(RMU), ids=str)
def test_promises(check: Check) -> None:
    check()


def part(hidden: torch.Tensor, reference: torch.Tensor | None = None) -> Part:
    nothing = torch.zeros(0, dtype=torch.long)
    return Part(
        torch.zeros(0, 5), nothing, nothing, examples=1, step_tokens=0, step_examples=1, hidden_states=hidden,
        reference_hidden_states=reference, step_input_tokens=len(hidden),
    )  # fmt: skip


def test_loss_against_the_equation() -> None:
    torch.manual_seed(0)
    forget, retain, base = torch.randn(3, 8), torch.randn(4, 8), torch.randn(4, 8)
    uniform = torch.rand(8, generator=torch.Generator().manual_seed(0))
    target = 6.5 * uniform / uniform.norm()
    expected = torch.nn.functional.mse_loss(forget, target.expand(3, 8)) + 2 * torch.nn.functional.mse_loss(
        retain, base
    )
    found = RMU(steering=6.5, alpha=2.0).loss(Batch({"forget": part(forget), "retain": part(retain, base)}))
    assert torch.isclose(found, expected)


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("model.layers.7.mlp.down_proj.weight", True),
        ("model.layers.5.mlp.up_proj.weight", True),
        ("model.layers.8.mlp.down_proj.weight", False),
        ("model.layers.4.mlp.down_proj.weight", False),
        ("model.layers.7.self_attn.q_proj.weight", False),
        ("model.decoder.layers.6.fc2.weight", True),
        ("transformer.h.6.mlp.c_proj.weight", True),
        ("lm_head.weight", False),
    ],
)
def test_trains_three_feed_forward_blocks(name: str, trained: bool) -> None:
    assert RMU().hidden_layer(32) == 8
    assert RMU().trains(name, 32) == trained
