"""Which examples make an optimisation step, and how a step is cut into passes that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


def default_tokens_per_pass(device_type: str) -> int:
    """Padded tokens of one forward pass where the configuration does not say.

    A CPU works fastest while a layer's activations stay in its caches (measured on a model of 135M weights with
    `benchmarks.engine`: 384 tokens take 0.7 to 0.8 of the time that 2048 take, and a quarter of the memory).
    """
    return 32768 if device_type == "cuda" else 384


def shuffled_batches(examples: int, batch_size: int, generator: torch.Generator) -> list[list[int]]:
    """All indices below `examples` in random order, in steps of `batch_size` (the last may be smaller)."""
    order: list[int] = torch.randperm(examples, generator=generator).tolist()
    return [order[start : start + batch_size] for start in range(0, examples, batch_size)]


def passes(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices grouped by length, so that a group padded to its longest has at most `budget` tokens.

    Sorting keeps padding small. An example longer than the budget is a group of its own.
    """
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if group and lengths[index] * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
