"""Cached log-probabilities of the base model: right rows, small rounding, computed once."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from transformers import LlamaForCausalLM

from tests.conftest import tiny_llama
from tests.methods.test_losses import FORGET, RETAIN, answer_log_probability, log_distributions
from unlearnbench.contract.batch import KLDirection, Part
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.reference import reference
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep
from unlearnbench.plugins import registry

CPU = torch.device("cpu")


def test_rows_are_the_base_models_log_probabilities(tmp_path: Path) -> None:
    network = tiny_llama(seed=2)
    model = LanguageModel(network, pad=0, tokens_per_pass=6)
    stored = reference(model, RETAIN, "distribution", tmp_path, "base")
    expected = log_distributions(network, RETAIN)
    # The third example has two answer tokens; order is the caller's.
    assert torch.allclose(stored.rows([2, 0], CPU), torch.cat([expected[2], expected[0]]), rtol=2**-11, atol=1e-4)
    sums = reference(model, FORGET, "log_probability", tmp_path, "base").rows([1, 0], CPU)
    assert sums.tolist() == pytest.approx(
        [float(answer_log_probability(network, FORGET[i]).detach()) for i in (1, 0)], rel=1e-4
    )


def layer_outputs(network: LlamaForCausalLM, layer: int) -> list[torch.Tensor]:
    """The outputs of the layer for each retain row alone."""
    found: list[torch.Tensor] = []
    handle = network.model.layers[layer - 1].register_forward_hook(
        lambda module, given, output: found.append(output[0])
    )
    for row in RETAIN:
        network(torch.tensor([row.ids[:-1]]))
    handle.remove()
    return found


def test_hidden_states_are_the_base_models_by_layer(tmp_path: Path) -> None:
    network = tiny_llama(seed=2)
    model = LanguageModel(network, pad=0, tokens_per_pass=6)
    for layer in (1, 2):
        stored = reference(model, RETAIN, "hidden_states", tmp_path, "base", layer)
        expected = layer_outputs(network, layer)
        found = stored.rows([2, 0], CPU)
        assert found.dtype == torch.float32
        assert torch.allclose(found, torch.cat([expected[2], expected[0]]), rtol=2**-10, atol=1e-3)


def test_no_examples_give_no_rows(tmp_path: Path) -> None:
    stored = reference(LanguageModel(tiny_llama(), pad=0), RETAIN, "distribution", tmp_path, "base")
    assert stored.rows([], CPU).shape == (0, 400)


def test_reference_is_computed_once_per_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LanguageModel(tiny_llama(seed=2), pad=0)
    first = reference(model, RETAIN, "distribution", tmp_path, "base")
    monkeypatch.setattr(LanguageModel, "predict", lambda *_: pytest.fail("computed again"))
    again = reference(model, RETAIN, "distribution", tmp_path, "base")
    assert torch.equal(first.rows([0, 1, 2], CPU), again.rows([0, 1, 2], CPU))
    with pytest.raises(pytest.fail.Exception):
        reference(model, RETAIN, "distribution", tmp_path, "another base")


def test_half_precision_hardly_changes_the_kl_term(tmp_path: Path) -> None:
    """The figure that docs/protocol.md states, on random logits of a real vocabulary's size."""
    generator = torch.Generator().manual_seed(0)
    base, model = (3 * torch.randn(64, 49_152, generator=generator) for _ in range(2))
    exact = base.log_softmax(-1)
    tokens = torch.zeros(64, dtype=torch.long)
    terms = [
        Part(model, tokens, torch.arange(64), 64, 64, 64, reference_distribution=stored).kl_divergence()
        for stored in (exact, exact.half().float())
    ]
    assert float(terms[0]) > 1
    assert abs(float(terms[0]) - float(terms[1])) < 1e-3


@pytest.mark.parametrize("direction", get_args(KLDirection))
def test_model_does_not_diverge_from_its_own_reference(direction: KLDirection, tmp_path: Path) -> None:
    """It would diverge from a reference of other rows, of other positions, or in another order."""
    network = tiny_llama(seed=2)
    model = LanguageModel(network, pad=0, tokens_per_pass=6)
    own = reference(model, RETAIN, "distribution", tmp_path, "base")
    method = registry().method("ga-kl").item(kl_direction=direction)
    step = UnlearningStep(model, method, TrainingSet({"forget": [], "retain": RETAIN}, {"retain": own}), None, False, 6)
    assert step([0, 1, 2]) == pytest.approx(0, abs=1e-3)  # it is kept in half precision
    other = reference(LanguageModel(tiny_llama(seed=3), pad=0), RETAIN, "distribution", tmp_path, "other base")
    step = UnlearningStep(
        model, method, TrainingSet({"forget": [], "retain": RETAIN}, {"retain": other}), None, False, 6
    )
    assert step([0, 1, 2]) > 0.01
