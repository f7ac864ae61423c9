"""The registered metrics of a leaderboard: their values on every set of rows, and whether a small one is the aim."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unlearnbench.leaderboard.entry import SPLITS, Entry, MetricFacts
from unlearnbench.leaderboard.sets import prefix

FORGOTTEN = ("train_forget", "test_forget")
COSTS = ("_seconds", "_bytes", "_parameters")
# Those of results that do not say.
BUILT_IN = {"accuracy": MetricFacts(title="Accuracy"), "f1": MetricFacts(title="F1")}


@dataclass(frozen=True)
class Measured:
    """A metric on a set of rows.

    Attributes:
        rows: a split or transfer task.
        number: what its value is called in `Entry.metrics`.
        lower_is_better: whether a small value is the aim: one of what should be forgotten, or a loss of the rest.
    """

    rows: str
    name: str
    number: str
    facts: MetricFacts
    lower_is_better: bool

    @property
    def is_built_in(self) -> bool:
        """Whether every result has it."""
        return self.name in BUILT_IN


def measured(entries: Iterable[Entry], transfers: Iterable[str]) -> list[Measured]:
    """All metrics of some results on all sets of rows: test splits first, the built-in metrics first."""
    further = {name: facts for entry in entries for name, facts in entry.measures.items() if name not in BUILT_IN}
    metrics = {**BUILT_IN, **dict(sorted(further.items()))}
    return [
        Measured(rows, name, f"{prefix(rows)}_{name}", facts, (rows in FORGOTTEN) != facts.lower_is_better)
        for rows in (*SPLITS[2:], *transfers, *SPLITS[:2])
        for name, facts in metrics.items()
    ]


def lower_is_better(number: str, among: Iterable[Measured] = ()) -> bool:
    """Whether a small value of a number is the aim: an accuracy on what should be forgotten, what things cost, or as
    a metric of `among` says."""
    said = {one.number: one.lower_is_better for one in among}
    return said.get(number, number.startswith((*FORGOTTEN, "over_forgetting")) or number.endswith(COSTS))
