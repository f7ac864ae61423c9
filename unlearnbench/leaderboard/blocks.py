"""From entries to the tables of a leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from unlearnbench.contract.objective import over_forgetting, trade_off
from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.identity.ids import ForgetTarget
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.footing import footing_metrics
from unlearnbench.leaderboard.grouping import Group, Row, group_entries
from unlearnbench.leaderboard.leaks import leaks_of
from unlearnbench.leaderboard.learned import learned_notes
from unlearnbench.leaderboard.measures import Measured, lower_is_better, measured
from unlearnbench.leaderboard.metric_notes import metric_notes
from unlearnbench.leaderboard.scores import OVER_FORGETTING, TRADE_OFF, UNJUDGED, has_direction, scores_of
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS, Interval, Pair, Score, all_pairs, interval
from unlearnbench.leaderboard.target_notes import target_notes
from unlearnbench.leaderboard.utility import utilities_of
from unlearnbench.leaderboard.yardstick import Yardstick


@dataclass(frozen=True)
class Line:
    """One line of a table: a row's metrics over seeds.

    Attributes:
        entries: one per seed.
        mean: by metric.
        spread: sample standard deviation by metric, empty for one seed.
        scores: what the statistics judge, by metric.
        intervals: 95 % interval of the mean by metric of `scores`.
        best: metrics in which it is the best method.
        ties: metrics in which it can't be told apart from the best method.
        competes: whether it takes part in marks and ranks: a method with the table's tuning budget.
    """

    row: str
    title: str
    entries: tuple[Entry, ...]
    mean: Mapping[str, float]
    spread: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    best: frozenset[str] = frozenset()
    ties: frozenset[str] = frozenset()
    competes: bool = True

    def by_seed(self, metric: str) -> dict[int | None, float]:
        """Every seed's value."""
        return {entry.seed: entry.metrics[metric] for entry in self.entries if metric in entry.metrics}


@dataclass(frozen=True)
class Block:
    """One table: everything that was evaluated on the same data with the same base model.

    Attributes:
        transfers: names of transfer tasks.
        entries: the single results, by seed.
        lines: reference rows, then methods.
        pairs: differences of every two methods with enough seeds, by metric.
        notes: what is marked or left out, and why.
        measures: the registered metrics on all sets of rows.
        yardstick: what scores are measured against.
    """

    task: str
    model: str
    transfers: tuple[str, ...]
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    pairs: Mapping[str, Sequence[Pair]]
    notes: tuple[str, ...] = ()
    measures: tuple[Measured, ...] = ()
    yardstick: Yardstick = field(default_factory=Yardstick)

    @property
    def target(self) -> ForgetTarget:
        """The target of forgetting."""
        return self.yardstick.target

    @property
    def seeds(self) -> list[int]:
        """All seeds that a line has."""
        return sorted({entry.seed for line in self.lines for entry in line.entries if entry.seed is not None})


def build_blocks(entries: Sequence[Entry], sort: str = "trade_off", all_settings: bool = False) -> list[Block]:
    """Tables in the order of task and model.

    Args:
        entries: oldest first.
        sort: the metric that orders the methods, best first.
        all_settings: whether a row that was run with several settings has a line for each, instead of the newest.
    """
    return [_block(group, sort) for group in group_entries(entries, all_settings)]


def _block(group: Group, sort: str) -> Block:
    yardstick = group.yardstick
    lines = [_line(row, yardstick) for row in group.rows.values()]
    methods = {line.row: line for line in lines if line.competes}
    judged = sorted({metric for line in methods.values() for metric in line.scores} - UNJUDGED)
    pairs = {
        metric: all_pairs({row: line.scores[metric] for row, line in methods.items() if metric in line.scores})
        for metric in judged
    }
    for metric, found in pairs.items():
        if not has_direction(metric, yardstick.target):
            continue
        methods |= _marked(methods, metric, found)
    entries = tuple(entry for line in lines for entry in line.entries)
    measures = tuple(measured(entries, group.transfers))
    falling = lower_is_better(sort, measures)
    ordered = sorted([methods.get(line.row, line) for line in lines], key=lambda line: _rank(line, sort, falling))
    notes = (*learned_notes(yardstick.bases), *target_notes(yardstick), *metric_notes(entries), *group.notes)
    table = group.table
    return Block(table.task, table.model, group.transfers, entries, tuple(ordered), pairs, notes, measures, yardstick)


def _marked(methods: Mapping[str, Line], metric: str, pairs: Sequence[Pair]) -> dict[str, Line]:
    """The lines with the best one and those that can't be told apart from it marked; none if too few have the seeds.

    The best is one of those with enough seeds: a single lucky seed is no reason to call a method the best.
    """
    having = {row: line for row, line in methods.items() if metric in line.scores}
    judged = [row for row, line in having.items() if line.scores[metric].seeds >= FEWEST_SEEDS]
    if len(judged) < 2:
        return {}
    means = {row: having[row].mean[metric] for row in judged}
    top = min(means.values()) if lower_is_better(metric) else max(means.values())
    best = {row for row, mean in means.items() if mean == top}
    apart = {frozenset((pair.first, pair.second)) for pair in pairs if pair.significant}
    first = min(best)
    tied = {row for row in having if row not in best and frozenset((first, row)) not in apart}
    return {
        row: replace(
            line,
            best=line.best | ({metric} if row in best else set()),
            ties=line.ties | ({metric} if row in tied else set()),
        )
        for row, line in having.items()
    }


def _rank(line: Line, sort: str, falling: bool) -> tuple[int, float, str]:
    """Reference rows, then methods from best to worst; those without a value, and those that do not compete, last."""
    if line.row in REFERENCE_ROWS:
        return REFERENCE_ROWS.index(line.row), 0.0, line.row
    value = line.mean.get(sort, float("inf"))
    return (3 if line.competes else 4), value if falling or sort not in line.mean else -value, line.row


def with_scores(entry: Entry, yardstick: Yardstick) -> Entry:
    """Adds the trade-off on the test splits, relative to the base model of the same seed, and what else is derived.

    Without a base model, if it never learned its training rows, or if the target says nothing there is no trade-off;
    without a level to compare with no over-forgetting; without log-probabilities no leak@k; without tested points
    nothing on equal footing.
    """
    forget, retain = (entry.metrics[f"test_{split}_accuracy"] for split in ("forget", "retain"))
    base, scale, level = yardstick.base(entry.seed), yardstick.scale(entry.seed), yardstick.level(entry.seed)
    found = {}
    if base is not None and scale is not None:
        found[TRADE_OFF] = trade_off(forget, retain, base.metrics["test_retain_accuracy"], scale)
    if level is not None:
        found[OVER_FORGETTING] = over_forgetting(forget, level)
    found |= {metric: score.mean for metric, score in (leaks_of([entry]) | utilities_of([entry])).items()}
    found |= footing_metrics(entry, yardstick)
    return entry.model_copy(update={"metrics": {**entry.metrics, **found}}) if found else entry


def _line(row: Row, yardstick: Yardstick) -> Line:
    entries = [with_scores(entry, yardstick) for entry in row.entries]
    scores = scores_of(entries, yardstick)
    shared = set.intersection(*(set(entry.metrics) for entry in entries))
    values = {metric: [entry.metrics[metric] for entry in entries] for metric in sorted(shared)}
    return Line(
        row.name,
        row.title,
        tuple(entries),
        {metric: fmean(numbers) for metric, numbers in values.items()},
        {metric: stdev(numbers) for metric, numbers in values.items()} if len(entries) > 1 else {},
        scores,
        {metric: interval(score) for metric, score in scores.items()},
        competes=row.fair and row.name not in REFERENCE_ROWS,
    )
