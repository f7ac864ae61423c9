"""Benchmarks of lm-evaluation-harness in a leaderboard: shares with every single example behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unlearnbench.leaderboard.entry import Entry, UtilityEntry
from unlearnbench.leaderboard.statistics import Floats, Interval, Score, difference, difference_over_examples, two_sided

UTILITY = "utility_"


@dataclass(frozen=True)
class UtilityMetric:
    """A metric of a benchmark, as it was asked.

    Attributes:
        metric: its name in tables; those of two subsets or versions differ.
        examples, size: how many of how many examples were asked.
    """

    metric: str
    benchmark: str
    name: str
    examples: int
    size: int

    @property
    def title(self) -> str:
        """As a column's heading."""
        return f"{self.benchmark} {self.name.replace('_', ' ')}"

    @property
    def asked(self) -> str:
        """How many examples, in words."""
        return f"{self.examples}" if self.examples == self.size else f"{self.examples} of {self.size}"


def utility_metrics(entries: Iterable[Entry]) -> list[UtilityMetric]:
    """The metrics that some results have."""
    found = {
        _metric(one, name): UtilityMetric(_metric(one, name), one.name, name, len(values), one.size)
        for entry in entries
        for one in entry.utility
        for name, values in one.values.items()
    }
    return [found[metric] for metric in sorted(found)]


def utilities_of(entries: Sequence[Entry]) -> dict[str, Score]:
    """The scores of a row, by metric: of what every result has.

    Args:
        entries: one per seed.
    """
    known = [
        {_metric(one, name): _shares(values) for one in entry.utility for name, values in one.values.items()}
        for entry in entries
    ]
    found = {}
    for metric in sorted(set.intersection(*map(set, known)) if known else ()):
        shares = [by_metric[metric] for by_metric in known]
        if len({len(one) for one in shares}) == 1 and len(shares[0]):
            values = np.array(shares)
            found[metric] = Score(values.mean(1), {metric: values}, examples=values.shape[1])
    return found


def change(score: Score, base: Score) -> tuple[float, Interval]:
    """The difference to the base model with its 95 % interval; examples are paired.

    With too few seeds the interval knows of examples alone.
    """
    found = difference(score, base) or difference_over_examples(score, base)
    return found.value, two_sided(found)


def _metric(one: UtilityEntry, name: str) -> str:
    return f"{UTILITY}{one.name}_{name}_{one.asked}"


def _shares(values: str | Sequence[float]) -> Floats:
    return np.array([float(value) for value in values])
