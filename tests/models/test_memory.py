"""Memory estimates, compared with counted tensors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.cases import evenly_up_to, make_rows
from benchmarks.measure import peak_bytes as counted_peak_bytes
from unlearnbench.config import ModelConfig
from unlearnbench.engine.forward import answer_logits, collate
from unlearnbench.models.memory import ModelSize, peak_bytes

SIZE = ModelSize(parameters=1000, layers=2, hidden=8, intermediate=16)


def test_estimated_activations_are_those_that_a_step_keeps() -> None:
    """Difference between four layers and two, so that embedding and head cancel out; tokens padded to one length."""
    kept = []
    for layers in (2, 4):
        config = LlamaConfig(
            vocab_size=64, hidden_size=48, intermediate_size=96, num_hidden_layers=layers, num_attention_heads=4
        )
        network = LlamaForCausalLM(config).eval()
        inputs = collate(make_rows(8, evenly_up_to(32), 0), 0, torch.device("cpu"))
        inputs = replace(inputs, ids=inputs.ids % 64)

        def step(network: LlamaForCausalLM = network, inputs: object = inputs) -> float:
            answer_logits(network, inputs).logsumexp(-1).sum().backward()  # type: ignore[arg-type]
            return 0.0

        kept.append(counted_peak_bytes(step, list(network.parameters())))
    tokens = inputs.ids.numel()
    size = ModelSize(0, 2, 48, 96)
    estimate = peak_bytes(size, ModelConfig(), "float32", tokens, trains_weights=True)
    assert estimate == pytest.approx(kept[1] - kept[0], rel=0.25)


@pytest.mark.parametrize(
    ("config", "trains_weights", "expected"),
    [
        (ModelConfig(), False, 4),
        (ModelConfig(), True, 4 + 4 + 8),
        (ModelConfig(optimiser="adamw-8bit"), True, 4 + 4 + 2),
        (ModelConfig(dtype="bfloat16"), True, 2 + 2 + 2 + 8),
        (ModelConfig(dtype="bfloat16", optimiser="adamw-8bit"), True, 2 + 2 + 2 + 2),
    ],
)
def test_bytes_per_weight(config: ModelConfig, trains_weights: bool, expected: int) -> None:
    compute = "float32" if config.dtype == "float32" else "bfloat16"
    assert peak_bytes(SIZE, config, compute, 0, trains_weights) == 1000 * expected


def test_gradient_checkpointing_keeps_fewer_activations() -> None:
    plain = peak_bytes(SIZE, ModelConfig(), "float32", 100, trains_weights=True)
    checkpointed = peak_bytes(SIZE, ModelConfig(gradient_checkpointing=True), "float32", 100, trains_weights=True)
    assert checkpointed < plain
