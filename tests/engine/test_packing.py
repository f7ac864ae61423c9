"""Packed rows: indices of tokens, attention, and the networks that are not packed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from tests.conftest import tiny_llama
from tests.engine.test_forward import ROWS, relative_error
from unlearnbench.config import ModelConfig
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.engine.forward import answer_logits, collate, logits_and_states
from unlearnbench.engine.packing import Packing, attend, packs, rectangles
from unlearnbench.engine.probe import enable_packing
from unlearnbench.models.loading import load_model
from unlearnbench.models.resolve import ResolvedModel


def test_rectangles_hold_rows_of_similar_length() -> None:
    lengths = [42, 10, 11, 40, 43, 10]
    assert rectangles(lengths, 1.05) == [[1, 5], [2], [3, 0], [4]]
    assert rectangles(lengths, 1.5) == [[1, 5, 2], [3, 0, 4]]


def test_packing_indices_find_every_token_of_every_row() -> None:
    lengths, width = [3, 20, 21, 1], 25
    packing = Packing.of(lengths, width, torch.device("cpu"))
    assert packing.shapes == ((1, 1), (1, 3), (2, 21))
    for row, length in enumerate(lengths):
        tokens = slice(packing.starts[row], packing.starts[row] + length)
        assert packing.source[tokens].tolist() == list(range(row * width, row * width + length))
        assert packing.positions[0, tokens].tolist() == list(range(length))


@pytest.mark.parametrize("shared", [0, 5])
def test_attention_covers_earlier_tokens_of_the_row_and_shared_ones(shared: int) -> None:
    """Compared with attention over each row alone, with two key heads for four query heads."""
    lengths = [4, 9, 9, 2]
    packing = Packing.of(lengths, 9, torch.device("cpu"), shared)
    tokens = shared + sum(rows * length for rows, length in packing.shapes)
    assert packing.positions.shape == (1, tokens)
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(1, 4, tokens, 8, generator=draw)
    key, value = (torch.randn(1, 2, tokens, 8, generator=draw) for _ in range(2))
    module = torch.nn.Module()
    module.num_key_value_groups = 2
    output, _ = attend(module, query, key, value, None, packing=packing, scaling=0.3)

    def attention(places: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return scaled_dot_product_attention(
            query[:, :, places],
            key[:, :, seen].repeat_interleave(2, dim=1),
            value[:, :, seen].repeat_interleave(2, dim=1),
            attn_mask=torch.ones(len(places), len(seen), dtype=torch.bool).tril(len(seen) - len(places)),
            scale=0.3,
        )[0].transpose(0, 1)

    in_front = torch.arange(shared)
    if shared:
        assert torch.allclose(output[0, :shared], attention(in_front, in_front), atol=1e-6)
    for row, length in enumerate(lengths):
        start = int(packing.starts[row])
        places = torch.arange(start, start + length)
        assert torch.allclose(output[0, places], attention(places, torch.cat([in_front, places])), atol=1e-6)
        assert packing.positions[0, places].tolist() == list(range(shared, shared + length))


def test_packed_and_padded_rows_have_the_same_gradient(network: PreTrainedModel) -> None:
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    gradients = []
    for _ in range(2):
        network.zero_grad()
        answer_logits(network, inputs).logsumexp(-1).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
        assert packs(network) or enable_packing(network)
    assert relative_error(gradients[1], gradients[0]) < 1e-5


def test_linear_layers_see_no_padding() -> None:
    network = tiny_llama()
    assert enable_packing(network)
    seen: list[int] = []
    network.model.layers[0].mlp.register_forward_hook(
        lambda module, given, output: seen.append(output[0, :, 0].numel())
    )
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    answer_logits(network, inputs)
    assert seen == [sum(len(row.ids) - 1 for row in ROWS)]
    assert inputs.ids.numel() > seen[0]


def test_last_feed_forward_block_sees_only_predicting_positions(network: PreTrainedModel) -> None:
    """OPT has no module for it, so it is left as it is."""
    assert enable_packing(network)
    blocks = [module for name, module in network.named_modules() if name.endswith("1.mlp")]
    assert bool(blocks) == (network.config.model_type != "opt")
    seen: list[int] = []
    for block in blocks:
        block.register_forward_hook(lambda module, given, output: seen.append(output.shape[1]), always_call=True)
        inner = next(child for child in block.children())
        inner.register_forward_hook(lambda module, given, output: seen.append(output.shape[1]))
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    everything = sum(inputs.lengths)
    answer_logits(network, inputs)
    assert seen == ([len(inputs.answers), len(inputs.answers)] if blocks else [])
    seen.clear()
    logits_and_states(network, inputs, None, layer=2)
    assert seen == ([everything, everything] if blocks else [])


def mistral(sliding_window: int | None) -> PreTrainedModel:
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=400,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=sliding_window,
        )
    )


def bloom() -> PreTrainedModel:
    return BloomForCausalLM(BloomConfig(vocab_size=400, hidden_size=32, n_layer=2, n_head=4))


def mamba() -> PreTrainedModel:
    return MambaForCausalLM(MambaConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2, state_size=4))


@pytest.mark.parametrize("make", [lambda: mistral(64), bloom, mamba], ids=["sliding window", "ALiBi", "state space"])
def test_networks_that_packing_would_change_run_padded_rows(make: Callable[[], PreTrainedModel]) -> None:
    torch.manual_seed(0)
    network = make().eval()
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    before = answer_logits(network, inputs)
    assert not enable_packing(network)
    assert not packs(network)
    assert torch.equal(answer_logits(network, inputs), before)


def test_mistral_without_a_window_is_packed() -> None:
    assert enable_packing(mistral(None).eval())


def test_loaded_model_packs_unless_another_attention_is_requested(model_folder: Path, tmp_path: Path) -> None:
    model = ResolvedModel(ModelSpec("tiny", "Tiny", "", str(model_folder)), str(model_folder), None, "tiny")
    network = load_model(model, ModelConfig(device="cpu"))
    assert packs(network)
    assert not packs(load_model(model, ModelConfig(device="cpu", attention="sdpa")))
    network.save_pretrained(tmp_path / "saved")
    assert "unlearnbench" not in (tmp_path / "saved" / "config.json").read_text(encoding="utf-8")
