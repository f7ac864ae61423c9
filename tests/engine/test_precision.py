"""The precision of passes, compared with float32 and plain autocast, and the state of the weights afterwards."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from tests.conftest import ARCHITECTURES, tiny_llama
from tests.engine.test_forward import ROWS, relative_error
from tests.methods.test_losses import make, training_set
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.packing import Packing, attend
from unlearnbench.engine.precision import CastWeights, Precision
from unlearnbench.engine.probe import enable_packing
from unlearnbench.engine.soft_prompt import TrainablePrompt
from unlearnbench.engine.unlearning import UnlearningStep

BFLOAT16 = Precision("cpu", torch.float32, torch.bfloat16)
SEVERAL_PASSES = 12


def without_dropout(architecture: str) -> PreTrainedModel:
    network = ARCHITECTURES[architecture]()
    assert enable_packing(network)
    return network


def weights_step(network: PreTrainedModel, dtype: torch.dtype, budget: int) -> tuple[float, torch.Tensor]:
    """Loss and gradient of a GA+GD step on all weights."""
    network.requires_grad_(True)
    data = training_set(make("ga-gd"), network)
    step = UnlearningStep(LanguageModel(network, 0, dtype), make("ga-gd"), data, None, False, budget)
    loss = step(list(range(data.size)))
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in network.parameters())
    return loss, torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def prompt_step(network: PreTrainedModel, dtype: torch.dtype, budget: int) -> tuple[float, torch.Tensor]:
    """Loss and gradient of a SPUL step on a soft prompt."""
    network.requires_grad_(False)
    prompt = TrainablePrompt(network, SoftPrompt(4, None), torch.Generator().manual_seed(0))
    # The references are those of any other model.
    data = training_set(make("spul"), tiny_llama(seed=2))
    step = UnlearningStep(LanguageModel(network, 0, dtype), make("spul"), data, prompt, True, budget)
    loss = step(list(range(data.size)))
    return loss, torch.cat([p.grad.flatten() for p in prompt.parameters() if p.grad is not None])


@pytest.mark.parametrize("step", [weights_step, prompt_step])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_low_precision_is_near_float32_and_casting_once_changes_nothing(
    architecture: str, step: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(step)
    loss, gradient = step(without_dropout(architecture), torch.float32, SEVERAL_PASSES)
    cast_once = step(without_dropout(architecture), torch.bfloat16, SEVERAL_PASSES)
    monkeypatch.setattr(Precision, "casts_weights_once", False)
    by_autocast = step(without_dropout(architecture), torch.bfloat16, SEVERAL_PASSES)
    assert cast_once[0] == by_autocast[0]
    assert relative_error(cast_once[1], by_autocast[1]) < 1e-6
    assert cast_once[0] == pytest.approx(loss, abs=0.05)
    assert 0 < relative_error(cast_once[1], gradient) < 0.05


def test_weights_are_restored_after_an_error() -> None:
    network = tiny_llama()
    before = network.lm_head.weight

    def fail() -> None:
        with CastWeights(network, BFLOAT16, trains=True).in_place():
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert network.lm_head.weight is before


@pytest.mark.parametrize("trains", [True, False])
def test_weights_are_cast_once_and_restored(network: PreTrainedModel, trains: bool) -> None:
    before = dict(network.named_parameters(remove_duplicate=False))
    weights = CastWeights(network, BFLOAT16, trains)
    head, words = network.get_output_embeddings(), network.get_input_embeddings()
    with weights.in_place():
        first = head.weight
        assert first.dtype == torch.bfloat16
        # A tied head is cast, the embeddings are not.
        assert words.weight.dtype == torch.float32
        assert all(p.dtype == torch.float32 for name, p in network.named_parameters() if "norm" in name or "ln" in name)
        assert first.requires_grad == trains
    with weights.in_place():
        assert (head.weight is first) != trains
    assert {name: id(p) for name, p in before.items()} == {
        name: id(p) for name, p in network.named_parameters(remove_duplicate=False)
    }


def test_frozen_weights_of_a_step_that_trains_others_are_cast_once() -> None:
    network = tiny_llama()
    network.requires_grad_(False)
    network.lm_head.weight.requires_grad_(True)
    weights = CastWeights(network, BFLOAT16, trains=True)
    seen = []
    for _ in range(2):
        with weights.in_place():
            seen.append((network.model.layers[0].mlp.up_proj.weight, network.lm_head.weight))
    assert seen[0][0] is seen[1][0]
    assert not seen[0][0].requires_grad
    assert seen[0][1] is not seen[1][1]


def test_evaluation_sees_weights_that_have_changed() -> None:
    network = tiny_llama()
    model = LanguageModel(network, 0, torch.bfloat16)
    before = torch.cat([logits for _, _, logits in model.predict(ROWS)])
    with torch.no_grad():
        network.model.layers[0].mlp.up_proj.weight.mul_(2)
    after = torch.cat([logits for _, _, logits in model.predict(ROWS)])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = torch.cat([network(torch.tensor([row.ids])).logits[0, row.answer_start - 1 : -1] for row in ROWS])
    order = [token for row in sorted(ROWS, key=lambda row: len(row.ids)) for token in row.answer]
    assert len(order) == len(after)
    assert relative_error(before.float(), after.float()) > 0.01
    assert relative_error(after.float().sort(0)[0], expected.float().sort(0)[0]) < 0.02


@pytest.mark.parametrize("packed", [True, False])
def test_attention_computes_in_float32_on_a_cpu(packed: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 4, 6, 8, generator=draw).bfloat16() for _ in range(3))
    packing = Packing.of([6], 6, torch.device("cpu")) if packed else None
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = attend(torch.nn.Module(), query, key, value, None, packing=packing, is_causal=True)
    expected = scaled_dot_product_attention(query.float(), key.float(), value.float(), is_causal=True)
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, expected.transpose(1, 2).bfloat16())


@pytest.mark.parametrize(
    ("device", "weights", "compute", "once", "tokens"),
    [
        ("cpu", torch.float32, torch.bfloat16, True, 1536),
        ("cpu", torch.float32, torch.float32, False, 768),
        ("cpu", torch.bfloat16, torch.bfloat16, False, 1536),
        ("cuda", torch.float32, torch.bfloat16, False, 32768),
    ],
)
def test_precision_by_device_and_data_types(
    device: str, weights: torch.dtype, compute: torch.dtype, once: bool, tokens: int
) -> None:
    precision = Precision(device, weights, compute)
    assert precision.casts_weights_once == once
    assert precision.tokens_per_pass == tokens
