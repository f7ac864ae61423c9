"""From entries to the tables of a leaderboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.statistics import (
    SIGNIFICANT_BELOW,
    Floats,
    Interval,
    Sample,
    base_entries,
    holm,
    interval,
    paired_p_value,
    resample,
    sample_of,
    scores,
)
from unlearnbench.objective import trade_off
from unlearnbench.rows import BASE, VANILLA

LOWER_IS_BETTER = ("train_forget", "test_forget")


@dataclass(frozen=True)
class Line:
    """One line of a table: a row's metrics over seeds.

    Attributes:
        entries: one per seed.
        mean: by metric.
        spread: sample standard deviation by metric, empty for one seed.
        intervals: bootstrap 95 % interval of the mean by metric, where the single predictions are known.
        ties: metrics in which its difference from the best method is not significant.
    """

    row: str
    title: str
    entries: tuple[Entry, ...]
    mean: Mapping[str, float]
    spread: Mapping[str, float]
    intervals: Mapping[str, Interval]
    ties: frozenset[str]

    @property
    def competes(self) -> bool:
        """Whether it is a method's line; the vanilla and the base model are anchors."""
        return self.row not in (VANILLA, BASE)


@dataclass(frozen=True)
class Block:
    """One table: everything that was evaluated on the same data with the same base model.

    Attributes:
        transfers: names of transfer tasks.
        entries: the single results, by seed.
        lines: vanilla, base, then methods.
    """

    task: str
    model: str
    transfers: tuple[str, ...]
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]

    @property
    def seeds(self) -> int:
        """The most seeds that a line has."""
        return max(len(line.entries) for line in self.lines)


def build_blocks(entries: Sequence[Entry], sort: str = "trade_off") -> list[Block]:
    """Tables in the order of task and model.

    Args:
        entries: oldest first. Where a method was run again with other settings, its newest entry of each seed counts.
        sort: the metric that orders the methods, best first.
    """
    groups: dict[tuple[str, str, str], dict[tuple[str, int | None], Entry]] = defaultdict(dict)
    for entry in entries:
        groups[entry.task, entry.model, entry.block][entry.row, entry.seed] = entry
    return [_block([*groups[key].values()], sort) for key in sorted(groups)]


def lower_is_better(metric: str) -> bool:
    """Whether a small value of the metric is the aim: what should be forgotten, and what things cost."""
    return metric.startswith(LOWER_IS_BETTER) or metric.endswith(("_seconds", "_bytes", "_parameters"))


def _block(entries: Sequence[Entry], sort: str) -> Block:
    bases = base_entries(entries)
    scored = [with_trade_off(entry, bases) for entry in entries]
    by_row: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(scored, key=lambda entry: -1 if entry.seed is None else entry.seed):
        by_row[entry.row].append(entry)
    transfers = {
        metric.removeprefix("transfer_").removesuffix("_accuracy")
        for entry in entries
        for metric in entry.metrics
        if metric.startswith("transfer_") and metric.endswith("_accuracy")
    }
    found = {row: sample_of(of_row, bases) for row, of_row in by_row.items()}
    samples = {row: sample for row, sample in found.items() if sample is not None}
    resampled = resample(samples)
    lines = [
        _line(of_row, {metric: interval(values) for metric, values in resampled.get(row, {}).items()})
        for row, of_row in by_row.items()
    ]
    ties = _ties(lines, samples, resampled)
    lines = [replace(line, ties=frozenset(ties[line.row])) for line in lines]
    ordered = sorted(lines, key=lambda line: _rank(line, sort))
    first = entries[0]
    return Block(first.task, first.model, tuple(sorted(transfers)), tuple(scored), tuple(ordered))


def _rank(line: Line, sort: str) -> tuple[int, float, str]:
    """Vanilla, base, then methods from best to worst; those without a value last."""
    if not line.competes:
        return [VANILLA, BASE].index(line.row), 0.0, line.row
    value = line.mean.get(sort, float("inf"))
    return 2, value if lower_is_better(sort) or sort not in line.mean else -value, line.row


def with_trade_off(entry: Entry, bases: Mapping[int | None, Entry]) -> Entry:
    """Adds the trade-off score on the test splits, relative to the base model of the same seed."""
    base = bases.get(entry.seed)
    if base is None:
        return entry
    metrics = entry.metrics
    score = trade_off(
        metrics["test_forget_accuracy"], metrics["test_retain_accuracy"], base.metrics["test_retain_accuracy"]
    )
    return entry.model_copy(update={"metrics": {**metrics, "trade_off": score}})


def _line(entries: Sequence[Entry], intervals: Mapping[str, Interval]) -> Line:
    shared = set.intersection(*(set(entry.metrics) for entry in entries))
    values = {metric: [entry.metrics[metric] for entry in entries] for metric in sorted(shared)}
    return Line(
        entries[0].row,
        entries[0].title,
        tuple(entries),
        {metric: fmean(numbers) for metric, numbers in values.items()},
        {metric: stdev(numbers) for metric, numbers in values.items()} if len(entries) > 1 else {},
        intervals,
        frozenset(),
    )


def _ties(
    lines: Sequence[Line], samples: Mapping[str, Sample], resampled: Mapping[str, Mapping[str, Floats]]
) -> dict[str, set[str]]:
    """Metrics in which a line may be as good as the best method, by row.

    A difference counts only if both agree: the permutation test on the same examples (p < 0.05 after Holm's correction
    for the number of methods), and the bootstrap interval of the difference, which knows chance between seeds, too.
    """
    ties: dict[str, set[str]] = defaultdict(set)
    for metric in sorted({metric for scored in resampled.values() for metric in scored}):
        able = [line for line in lines if line.competes and metric in resampled.get(line.row, {})]
        if len(able) < 2:
            continue
        best = (min if lower_is_better(metric) else max)(able, key=lambda line: line.mean[metric]).row
        score = scores(samples[best])[metric]
        others = [line.row for line in able if line.row != best]
        p_values = holm({row: paired_p_value(samples[best], samples[row], score) for row in others})
        for row in others:
            low, high = interval(resampled[row][metric] - resampled[best][metric])
            if p_values[row] >= SIGNIFICANT_BELOW or low <= 0 <= high:
                ties[row].add(metric)
    return ties
