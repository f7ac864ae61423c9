"""What a study found: one line for each point, task, model and row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from unlearnbench.contract.rows import BASE, REFERENCE_ROWS, RETRAIN, VANILLA
from unlearnbench.leaderboard.blocks import with_scores
from unlearnbench.leaderboard.entry import SPLITS, Entry
from unlearnbench.leaderboard.markdown import table
from unlearnbench.leaderboard.published import ROWS, paper_table
from unlearnbench.leaderboard.scores import scores_of
from unlearnbench.leaderboard.statistics import Interval, interval
from unlearnbench.leaderboard.yardstick import Yardstick
from unlearnbench.studies.points import Point, Study

if TYPE_CHECKING:
    import pandas as pd

TRADE_OFF = "trade_off"
METRICS = [TRADE_OFF, *(f"{split}_{metric}" for split in SPLITS for metric in ("accuracy", "f1"))]


@dataclass(frozen=True)
class PointResult:
    """Means over the seeds of one point.

    Attributes:
        values: the point's; empty for the base model, which does not depend on them.
        paper: whether these are published numbers.
        mean, spread: by metric; the sample standard deviation is missing for one seed.
        by_seed: every seed's value of each metric.
        intervals: 95 % interval of the mean of each test accuracy, as in leaderboards.
    """

    values: Mapping[str, float | str]
    task: str
    model: str
    row: str
    title: str
    seeds: int
    mean: Mapping[str, float]
    spread: Mapping[str, float]
    by_seed: Mapping[str, Sequence[float]] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    paper: bool = False


def collect(points: Sequence[tuple[Point, set[str]]], entries: Sequence[Entry]) -> list[PointResult]:
    """The entries of each point (given with the keys of its cells) over seeds."""
    ordered = sorted(entries, key=lambda entry: -1 if entry.seed is None else entry.seed)
    found = []
    known: set[str] = set()
    for point, keys in points:
        groups: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
        for entry in _scored([entry for entry in ordered if entry.key in keys]):
            # A base or retrained model that several points share is shown once.
            if entry.row != VANILLA and entry.key not in known:
                groups[entry.task, entry.model, entry.row].append(entry)
                known |= {entry.key} if entry.row in REFERENCE_ROWS else set()
        found += [_found(point, group) for _, group in sorted(groups.items())]
    return found


def _scored(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, each with its trade-off relative to the reference models of its task, model and seed."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.task, entry.model].append(entry)
    yardsticks = {place: _yardstick(group) for place, group in groups.items()}
    return [with_scores(entry, yardsticks[entry.task, entry.model]) for entry in entries]


def _yardstick(entries: Sequence[Entry]) -> Yardstick:
    """That of the methods: reference models are recorded as of target zero, and stand beside those of every target."""
    bases, oracles = ({one.seed: one for one in entries if one.row == row} for row in (BASE, RETRAIN))
    aimed = [one for one in entries if one.row not in REFERENCE_ROWS] or entries
    return Yardstick.of(aimed[0].identity.table, bases, oracles)


def _found(point: Point, entries: Sequence[Entry]) -> PointResult:
    first = entries[0]
    shared = [metric for metric in METRICS if all(metric in entry.metrics for entry in entries)]
    values = {metric: [entry.metrics[metric] for entry in entries] for metric in shared}
    return PointResult(
        {} if first.row in REFERENCE_ROWS else point.values,
        first.task,
        first.model,
        first.row,
        first.title,
        len(entries),
        {metric: fmean(numbers) for metric, numbers in values.items()},
        {metric: stdev(numbers) for metric, numbers in values.items()} if len(entries) > 1 else {},
        values,
        {metric: interval(score) for metric, score in scores_of(entries, Yardstick()).items() if metric in METRICS},
    )


def published(study: Study, tasks: set[str], rows: set[str]) -> list[PointResult]:
    """The paper's numbers of the same study, for the rows that ours has."""
    if study.paper_table is None:
        return []
    found = []
    for record in paper_table(study.paper_table):
        if record["task"] not in tasks or ROWS[str(record["method"])] not in rows:
            continue
        found.append(
            PointResult(
                {name: record[name] for name in study.columns},
                str(record["task"]),
                str(record["model"]),
                ROWS[str(record["method"])],
                str(record["method"]),
                1,
                {
                    metric: float(record[metric.replace("accuracy", "acc")]) / 100
                    for metric in METRICS
                    if metric != TRADE_OFF
                },
                {},
                paper=True,
            )
        )
    return found


def to_frame(study: Study, found: Sequence[PointResult]) -> pd.DataFrame:
    """Every line with its numbers."""
    import pandas as pd

    records = [
        {
            "task": line.task,
            "model": line.model,
            "row": line.row,
            **{name: line.values.get(name) for name in study.columns if name != "model"},
            "source": "paper" if line.paper else "this run",
            "seeds": line.seeds,
            **line.mean,
            **{f"{metric}_sd": value for metric, value in line.spread.items()},
            **{f"{metric}_low": low for metric, (low, _) in line.intervals.items()},
            **{f"{metric}_high": high for metric, (_, high) in line.intervals.items()},
            **{
                f"{metric}_by_seed": " ".join(f"{one:.6g}" for one in line.by_seed[metric]) for metric in line.intervals
            },
        }
        for line in found
    ]
    return pd.DataFrame(records)


def to_markdown(study: Study, found: Sequence[PointResult]) -> str:
    """A table in percent, as the paper's."""
    columns = [name for name in study.columns if name != "model"]
    titles = [
        "task",
        "model",
        "row",
        *columns,
        *(metric.replace("_", " ").replace("accuracy", "acc") for metric in METRICS),
    ]
    rows = []
    for line in found:
        numbers = [_percent(line, metric) for metric in METRICS]
        title = f"*{line.title} (paper)*" if line.paper else line.title
        rows.append([line.task, line.model, title, *(f"{line.values.get(name, '')}" for name in columns), *numbers])
    alignment = "l" * (3 + len(columns)) + "r" * len(METRICS)
    lines = [f"# {study.title}", "", *table(alignment, titles, rows), *_averages(columns, found)]
    seeds = max(line.seeds for line in found)
    said = (
        "One seed: examples only, nothing is claimed between rows."
        if seeds == 1
        else (f"Mean ± standard deviation over {seeds} seeds.")
    )
    lines += ["", said, *_every_seed(found, columns)]
    if any(line.paper for line in found):
        lines.append("Rows marked (paper) are published numbers, from another model and other data sizes.")
    return "\n".join(lines) + "\n"


def _every_seed(found: Sequence[PointResult], columns: Sequence[str]) -> list[str]:
    """Intervals and every seed's value of the test accuracies."""
    metrics = ("test_retain_accuracy", "test_forget_accuracy")
    heads = [
        f"{metric.replace('_', ' ').replace('accuracy', 'acc')}{what}"
        for metric in metrics
        for what in ("", ", every seed")
    ]
    rows = []
    for line in found:
        if not line.intervals:
            continue
        texts = [line.task, line.model, line.title, *(f"{line.values.get(name, '')}" for name in columns)]
        for metric in metrics:
            low, high = line.intervals[metric]
            texts.append(f"{100 * line.mean[metric]:.2f} [{100 * low:.2f}, {100 * high:.2f}]")
            texts.append(", ".join(f"{100 * value:.2f}" for value in line.by_seed[metric]))
        rows.append(texts)
    alignment = "l" * (3 + len(columns)) + "r" * len(heads)
    lines = table(alignment, ["task", "model", "row", *columns, *heads], rows)
    return ["", *lines, "", "In brackets: 95 % intervals, over seeds and test examples."]


def _percent(line: PointResult, metric: str) -> str:
    if metric not in line.mean:
        return ""
    spread = f" ± {100 * line.spread[metric]:.2f}" if metric in line.spread else ""
    return f"{100 * line.mean[metric]:.2f}{spread}"


def _averages(columns: Sequence[str], found: Sequence[PointResult]) -> list[str]:
    """Each point over all tasks and methods, if there are several: mean trade-off, and mean spread over seeds."""
    methods = [line for line in found if line.row not in REFERENCE_ROWS and not line.paper and TRADE_OFF in line.mean]
    groups: dict[tuple[float | str, ...], list[PointResult]] = defaultdict(list)
    for line in methods:
        groups[tuple(line.values.get(name, line.model) for name in columns)].append(line)
    most = max(map(len, groups.values()), default=0)
    if most < 2 or not columns:
        return []
    titles = [*columns, "rows", "trade-off", "standard deviation over seeds"]
    rows = []
    for values, lines in groups.items():
        spreads = [line.spread[TRADE_OFF] for line in lines if TRADE_OFF in line.spread]
        numbers = [str(len(lines)), f"{100 * fmean(line.mean[TRADE_OFF] for line in lines):.2f}"]
        numbers.append(f"{100 * fmean(spreads):.2f}" if spreads else "")
        rows.append([*map(str, values), *numbers])
    return ["", *table("l" * len(columns) + "rrr", titles, rows)]
