"""The models and rows that are measured."""

from __future__ import annotations

from benchmarks.cases import SMOLLM2_135M, Lengths, Settings, Shape, evenly_up_to, make_rows, sst2_lengths, yelp_lengths
from benchmarks.gpu.step import Setup
from unlearnbench.engine.encoded import Encoded

LLAMA_1B = Shape("LLaMA-3.2-1B", 16, 2048, 8192, 32, 8, 128_256)
LLAMA_7B = Shape("LLaMA-2-7B", 32, 4096, 11_008, 32, 32, 32_000, tied=False)
# In between, for growth.
SMOLLM2_360M = Shape("SmolLM2-360M", 32, 960, 2560, 15, 5, 49_152)
LLAMA_3B = Shape("LLaMA-3.2-3B", 28, 3072, 8192, 24, 8, 128_256)

TINY = Shape("tiny", 1, 64, 128, 4, 2, 500)
WIDE = Shape("tiny, but wider", 2, 128, 256, 4, 2, 500)


def compared_shapes(setup: Setup) -> tuple[Shape, ...]:
    """Models whose steps are set against the published way's."""
    return (TINY, WIDE) if setup.small else (SMOLLM2_135M, LLAMA_1B, LLAMA_7B)


def growing_shapes(setup: Setup) -> tuple[Shape, ...]:
    """Models from small to large."""
    return (TINY, WIDE) if setup.small else (SMOLLM2_135M, SMOLLM2_360M, LLAMA_1B, LLAMA_3B, LLAMA_7B)


def checked_shape(setup: Setup) -> Shape:
    """The model whose values are compared."""
    return TINY if setup.small else SMOLLM2_135M


def row_lengths(setup: Setup) -> dict[str, Lengths]:
    """Lengths of rows by the task that has them."""
    if setup.small:
        return {"SST-2": evenly_up_to(12), "Yelp": evenly_up_to(24)}
    return {"SST-2": sst2_lengths, "Yelp": yelp_lengths}


def batch_rows(setup: Setup) -> int:
    """Rows of a step."""
    return 8 if setup.small else 32


def batch(settings: Settings, count: int, lengths: Lengths, number: int = 0) -> tuple[list[Encoded], list[Encoded]]:
    """Forget and retain rows of a batch; each number is another batch."""
    half, words = count // 2, settings.shape.vocabulary
    return make_rows(half, lengths, 2 * number + 1, words), make_rows(count - half, lengths, 2 * number + 2, words)
