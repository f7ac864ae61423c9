"""Splits examples into optimisation steps, and steps into forward passes that fit into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch


def shuffled_batches(examples: int, batch_size: int, generator: torch.Generator) -> list[list[int]]:
    """All indices below `examples` in random order, in steps of `batch_size` (the last may be smaller)."""
    order: list[int] = torch.randperm(examples, generator=generator).tolist()
    return [order[start : start + batch_size] for start in range(0, examples, batch_size)]


def padded_passes(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Groups indices by length, so that a group padded to its longest example has at most `budget` tokens.

    Sorting keeps padding small. An example longer than the budget is a group of its own.
    """
    group: list[int] = []
    for index in _by_length(lengths):
        if group and lengths[index] * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def packed_passes(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Groups indices by length, so that each group has at most `budget` tokens and all groups nearly the same number.

    An example longer than the budget is a group of its own.
    """
    total = sum(lengths)
    fair = total / max(1, math.ceil(total / budget))
    group: list[int] = []
    tokens = 0
    for index in _by_length(lengths):
        if group and (tokens >= fair or tokens + lengths[index] > budget):
            yield group
            group, tokens = [], 0
        group.append(index)
        tokens += lengths[index]
    if group:
        yield group


def _by_length(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
