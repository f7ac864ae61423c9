"""Benchmarks of lm-evaluation-harness as a table: the share of each model, and its difference to the base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unlearnbench.contract.rows import BASE
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.columns import Column
from unlearnbench.leaderboard.markdown import table
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS, Interval
from unlearnbench.leaderboard.utility import UtilityMetric, change, utility_metrics

CAPTION, AGAINST = "Utility, by lm-evaluation-harness", "against base"
NOTE = (
    "Utility: benchmarks of lm-evaluation-harness in percent, with 95 % intervals; beside each, in points, the "
    f"difference to the base model on the same examples; of rows with fewer than {FEWEST_SEEDS} seeds its interval "
    "knows of examples alone."
)


@dataclass(frozen=True)
class Change:
    """The difference between a line and the base model."""

    value: float
    interval: Interval

    @property
    def text(self) -> str:
        """In points of a percent."""
        return _signed(self.value)

    @property
    def bounds(self) -> str:
        """The interval."""
        low, high = self.interval
        return f"{_signed(low)} to {_signed(high)}"


def _signed(share: float) -> str:
    # A sum may be a zero that is less than none.
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def utility_columns(block: Block) -> list[tuple[UtilityMetric, Column]]:
    """The benchmarks that some line has an interval of, as columns."""
    having = {metric for line in block.lines for metric in line.intervals}
    return [
        (one, Column(f"{one.title} ↑ ({one.asked})", one.metric, percent))
        for one in utility_metrics(block.entries)
        if one.metric in having
    ]


def changes(block: Block, metric: str) -> dict[str, Change]:
    """By row, the difference to the base model; that of lines with the metric other than the base model's."""
    base = next((line for line in block.lines if line.row == BASE and metric in line.scores), None)
    if base is None:
        return {}
    others = [line for line in block.lines if line.row != BASE and metric in line.scores]
    return {line.row: Change(*change(line.scores[metric], base.scores[metric])) for line in others}


def utility_notes(block: Block) -> list[str]:
    """What the numbers are, if there are any."""
    return [NOTE] if utility_columns(block) else []


def utility_markdown(block: Block) -> list[str]:
    """A table of the block's benchmarks; nothing if there are none."""
    shown = utility_columns(block)
    if not shown:
        return []
    heads = ["utility", *(text for _, column in shown for text in (column.title, AGAINST))]
    against = {one.metric: changes(block, one.metric) for one, _ in shown}
    rows = [
        [line.title, *(text for one, column in shown for text in _cells(line, column, against[one.metric]))]
        for line in block.lines
        if any(one.metric in line.intervals for one, _ in shown)
    ]
    return ["", *table(f"l{'r' * (len(heads) - 1)}", heads, rows), f"\n{utility_notes(block)[0]}"]


def _cells(line: Line, column: Column, against: dict[str, Change]) -> Sequence[str]:
    if column.metric not in line.intervals:
        return "", ""
    found = against.get(line.row)
    difference = "" if found is None else f"{found.text} ({found.bounds})"
    return f"{column.marked(line)} ({column.interval(line)})", difference
