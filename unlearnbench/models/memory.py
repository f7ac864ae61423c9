"""Estimates the peak memory of a cell before it runs; the measured peak is recorded afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnbench.config import ModelConfig

# Distinct values that autograd keeps per token in one transformer layer, in hidden and intermediate widths; counted on
# LLaMA (norms, projections, attention, gated MLP) with `benchmarks.engine`.
HIDDEN_VALUES, INTERMEDIATE_VALUES = 11, 6
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
OPTIMISER_BYTES = {"adamw": 8, "adamw-8bit": 2, "paged-adamw-8bit": 2}
NF4_BYTES = 0.53
GIB = 2**30
# Python, torch and the other libraries need about this much in addition to a model.
LIBRARIES_BYTES = 3 * GIB // 2


@dataclass(frozen=True)
class ModelSize:
    """The dimensions of a model that determine its memory."""

    parameters: int
    layers: int
    hidden: int
    intermediate: int


def peak_bytes(
    size: ModelSize, config: ModelConfig, compute_dtype: str, tokens: int, trains_weights: bool, quantised: bool = False
) -> int:
    """Weights, gradients, optimiser state, and the activations that a pass of `tokens` tokens keeps for backward.

    Libraries and the allocator's overhead are not included (about 1 GiB in a CPU process).
    """
    weight_bytes = NF4_BYTES if quantised else BYTES[config.dtype]
    low_precision_copy = BYTES[compute_dtype] if BYTES[compute_dtype] < BYTES[config.dtype] and not quantised else 0
    per_weight = weight_bytes + low_precision_copy
    if trains_weights:
        # Gradients have the precision of the weights; bfloat16 weights keep the 16 bits that they lack of float32.
        rest = 2 if config.dtype == "bfloat16" else 0
        per_weight += BYTES[config.dtype] + rest + OPTIMISER_BYTES[config.optimiser]
    layer = (HIDDEN_VALUES * size.hidden + INTERMEDIATE_VALUES * size.intermediate) * BYTES[compute_dtype]
    kept = layer + size.layers * size.hidden * 4 if config.gradient_checkpointing else size.layers * layer
    return int(size.parameters * per_weight + tokens * kept)
