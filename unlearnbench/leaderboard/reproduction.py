"""What came back when a leaderboard's configuration was run again, number by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from unlearnbench.identity.differences import differences, marked
from unlearnbench.identity.digest import CHANCE, SOFTWARE
from unlearnbench.identity.ids import EarlierId
from unlearnbench.leaderboard.blocks import with_scores
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.grouping import Group, Row, group_entries
from unlearnbench.leaderboard.scores import TRADE_OFF, scores_of
from unlearnbench.leaderboard.sets import evaluated, prefix
from unlearnbench.leaderboard.statistics import Interval, interval
from unlearnbench.leaderboard.yardstick import Yardstick

Verdict = Literal["exactly", "within its interval", "outside its interval", "not exactly"]
Changed = tuple[str, str, str]


@dataclass(frozen=True)
class Number:
    """A metric of a row, then and now.

    Attributes:
        then, now: every seed's value, in the same order.
        interval: 95 % interval of the mean of then; None if the metric has none.
        same: whether each seed's value, and each single prediction behind it, is the same.
    """

    metric: str
    then: tuple[float, ...]
    now: tuple[float, ...]
    interval: Interval | None
    same: bool

    @property
    def means(self) -> tuple[float, float]:
        """Of then and now."""
        return fmean(self.then), fmean(self.now)

    @property
    def verdict(self) -> Verdict:
        """How it came back; what has no interval came back exactly or not."""
        if self.same:
            return "exactly"
        if self.interval is None:
            return "not exactly"
        low, high = self.interval
        return "within its interval" if low <= self.means[1] <= high else "outside its interval"


@dataclass(frozen=True)
class ReproducedRow:
    """A row of a table.

    Attributes:
        seeds: of the results that came back.
        missing: seeds without a result now.
        changed: what decides the result and is not as it was then, beside versions: it is not the same computation.
        values: hyper-parameters that are not those of then.
    """

    task: str
    model: str
    row: str
    title: str
    seeds: tuple[int | None, ...]
    numbers: tuple[Number, ...]
    missing: tuple[int | None, ...]
    changed: tuple[Changed, ...]
    values: tuple[Changed, ...]

    @property
    def name(self) -> str:
        """The row in a few words."""
        return f"{self.model} / {self.task} / {self.row}"

    @property
    def counts(self) -> Counter[Verdict]:
        """How many numbers came back how."""
        return Counter(number.verdict for number in self.numbers)

    @property
    def is_exact(self) -> bool:
        """Whether every number of every seed came back as it was."""
        return bool(self.numbers) and not self.missing and self.counts.keys() == {"exactly"}

    @property
    def holds(self) -> bool:
        """Whether the same computation gave every number that has an interval exactly or within it."""
        return bool(self.numbers) and not (self.missing or self.changed or self.counts["outside its interval"])


@dataclass(frozen=True)
class Reproduction:
    """All rows that were run again.

    Attributes:
        software: versions that differ.
        machine: device, processor, threads and other facts of the machine that differ.
    """

    rows: tuple[ReproducedRow, ...]
    software: tuple[Changed, ...]
    machine: tuple[Changed, ...]

    @property
    def is_exact(self) -> bool:
        """Whether everything came back exactly."""
        return bool(self.rows) and all(row.is_exact for row in self.rows)

    @property
    def holds(self) -> bool:
        """Whether everything came back exactly or within its interval."""
        return bool(self.rows) and all(row.holds for row in self.rows)


def reproduce(then: Sequence[Entry], now: Mapping[str, Entry]) -> Reproduction:
    """Holds results against those of then.

    Args:
        then: oldest first.
        now: the new results, by the keys of those of then.
    """
    groups = group_entries(then, all_settings=True)
    rows = tuple(_row(group, row, now) for group in groups for row in group.rows.values())
    pairs = [(entry, now[entry.key]) for entry in then if entry.key in now]
    software = [found for one, other in pairs for found in _differing(one.versions, other.versions)]
    machine = [found for pair in pairs for found in _machine(*pair)]
    return Reproduction(rows, tuple(dict.fromkeys(software)), tuple(dict.fromkeys(machine)))


def _row(group: Group, row: Row, now: Mapping[str, Entry]) -> ReproducedRow:
    came = [entry for entry in row.entries if entry.key in now]
    again = [now[entry.key] for entry in came]
    first = [with_scores(entry, group.yardstick) for entry in came]
    yardstick = _again(group.yardstick, now)
    second = [with_scores(entry, yardstick) for entry in again]
    intervals = {metric: interval(score) for metric, score in scores_of(came, group.yardstick).items()} if came else {}
    metrics = _metrics(first, second) if came else []
    numbers = [_number(metric, first, second, intervals.get(metric)) for metric in metrics]
    pairs = list(zip(came, again, strict=True))
    return ReproducedRow(
        row.entries[0].task,
        row.entries[0].model,
        row.name,
        row.title,
        tuple(entry.seed for entry in came),
        tuple(numbers),
        tuple(entry.seed for entry in row.entries if entry.key not in now),
        tuple(dict.fromkeys(found for pair in pairs for found in _changed(*pair))),
        tuple(dict.fromkeys(found for pair in pairs for found in _values(*pair))),
    )


def _again(then: Yardstick, now: Mapping[str, Entry]) -> Yardstick:
    """The reference models as they came back."""
    bases, oracles = (
        {seed: now[entry.key] for seed, entry in side.items() if entry.key in now}
        for side in (then.bases, then.oracles)
    )
    return replace(then, bases=bases, oracles=oracles)


def _metrics(then: Sequence[Entry], now: Sequence[Entry]) -> list[str]:
    """What was measured on the evaluation sets in every result of both, the judged ones first; costs are chance."""
    shared = set.intersection(*(set(entry.metrics) for entry in (*then, *now)))
    starts = tuple(f"{prefix(name)}_" for name in evaluated(then[0]))
    measured = {name for name in shared if name.startswith(starts) and not name.endswith("_examples")}
    first = [TRADE_OFF, *(f"{start}accuracy" for start in ("test_retain_", "test_forget_", *starts))]
    return [name for name in dict.fromkeys(first) if name in shared] + sorted(measured - set(first))


def _number(metric: str, then: Sequence[Entry], now: Sequence[Entry], found: Interval | None) -> Number:
    values = [tuple(entry.metrics[metric] for entry in side) for side in (then, now)]
    sets = [name for name in then[0].right if metric.startswith(f"{prefix(name)}_")]
    same = all(one.right.get(name) == two.right.get(name) for one, two in zip(then, now, strict=True) for name in sets)
    return Number(metric, values[0], values[1], found, same and values[0] == values[1])


def _changed(then: Entry, now: Entry) -> list[Changed]:
    if isinstance(then.identity.subject, EarlierId):
        return []
    return list(differences(then.identity, now.identity, (SOFTWARE, CHANCE)))


def _values(then: Entry, now: Entry) -> list[Changed]:
    return _differing(then.hyperparameters, now.hyperparameters)


def _machine(then: Entry, now: Entry) -> list[Changed]:
    found = _differing(then.hardware, now.hardware)
    if isinstance(then.identity.subject, EarlierId):
        return found
    # Processor and threads are among the facts above.
    return found + [
        (name.removeprefix("machine."), one, two)
        for name, one, two in marked(then.identity, now.identity, CHANCE)
        if not name.endswith((".cpu", ".threads"))
    ]


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[Changed]:
    return [
        (name, then.get(name) or "none", now.get(name) or "none")
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
