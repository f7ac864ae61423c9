"""The columns of a leaderboard: what is judged first, then training splits and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from unlearnbench.errors import UserError, nearest
from unlearnbench.leaderboard.blocks import Block, Line

Best = Literal["highest", "lowest"]


TIE = "≈"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        best: which value is marked among the methods, or None for none.
        write: formats a value.
        varies: whether the value can differ between seeds.
    """

    title: str
    metric: str
    write: Callable[[float], str]
    best: Best | None = None
    varies: bool = True

    def text(self, line: Line) -> str:
        """The line's value, with the standard deviation over seeds where there are several."""
        if self.metric not in line.mean:
            return ""
        spread = f" ± {self.write(line.spread[self.metric])}" if self.varies and self.metric in line.spread else ""
        return self.write(line.mean[self.metric]) + spread

    def marked(self, line: Line) -> str:
        """The text with a mark where the line's difference from the best method is not significant."""
        return self.text(line) + (f" {TIE}" if self.best and self.metric in line.ties else "")

    def interval(self, line: Line) -> str:
        """The bootstrap interval, or nothing where there is none."""
        if self.metric not in line.intervals:
            return ""
        low, high = line.intervals[self.metric]
        return f"{self.write(low)} to {self.write(high)}"


def percent(value: float) -> str:
    """A share as percent with two digits, as the paper's tables."""
    return f"{100 * value:.2f}"


def seconds(value: float) -> str:
    """Seconds with a sensible number of digits."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def count(value: float) -> str:
    """A count in thousands or millions, as the paper gives parameters."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        # What rounds to 1000 of a unit is 1 of the next.
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def gibibytes(value: float) -> str:
    """Bytes as GiB."""
    return f"{value / 2**30:.1f}"


def columns(block: Block) -> list[Column]:
    """The columns of a block."""
    shown = [
        *(_scores("test retain", "test_retain", "↑"), _scores("test forget", "test_forget", "↓")),
        *(_scores(name, f"transfer_{name}", "↑") for name in block.transfers),
        *(_scores("train retain", "train_retain", "↑"), _scores("train forget", "train_forget", "↓")),
    ]
    return [
        Column("trade-off ↑", "trade_off", percent, "highest"),
        *(column for pair in shown for column in pair),
        Column("trials", "trials", count, varies=False),
        Column("trained parameters", "trainable_parameters", count, varies=False),
        Column("tuning s", "tuning_wall_seconds", seconds),
        Column("training s", "training_wall_seconds", seconds),
        Column("training GPU s", "training_gpu_seconds", seconds),
        Column("training peak GiB", "training_peak_memory_bytes", gibibytes),
    ]


def _scores(title: str, prefix: str, arrow: Literal["↑", "↓"]) -> tuple[Column, Column]:
    best: Best = "highest" if arrow == "↑" else "lowest"
    return (
        Column(f"{title} acc {arrow}", f"{prefix}_accuracy", percent, best),
        Column(f"{title} F1 {arrow}", f"{prefix}_f1", percent, best),
    )


def is_best(column: Column, line: Line, lines: Sequence[Line]) -> bool:
    """Whether the line holds the best value of all methods; vanilla and base do not compete."""
    values = [other.mean[column.metric] for other in lines if other.competes and column.metric in other.mean]
    if column.best is None or not line.competes or len(values) < 2 or column.metric not in line.mean:
        return False
    return line.mean[column.metric] == (max(values) if column.best == "highest" else min(values))


def find_column(name: str, blocks: Sequence[Block]) -> Column:
    """The column with that title (arrows may be left out) or metric.

    Raises:
        UserError: there is none.
    """
    known = {column.metric: column for block in blocks for column in columns(block)}
    for column in known.values():
        if name.strip().lower() in (column.metric, column.title.lower(), column.title.rstrip(" ↑↓").lower()):
            return column
    raise UserError(f"--sort {name!r} is no column: {nearest(name, known)}")
