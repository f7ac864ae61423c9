"""The columns of a leaderboard: what is judged first, then training splits and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unlearnbench.errors import UserError, nearest
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.entry import SPLITS, NeedsEntry
from unlearnbench.leaderboard.footing import AREA, LEVELS, forget_at, reached_at, retained_at
from unlearnbench.leaderboard.leaks import SAMPLES, leak_metric
from unlearnbench.leaderboard.measures import Measured
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.scores import OVER_FORGETTING, TRADE_OFF

BEST, TIE = "★", "≈"
# Titles that stand in every column.
SHORT = {"accuracy": "acc"}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        write: formats a value.
        varies: whether the value can differ between seeds.
    """

    title: str
    metric: str
    write: Callable[[float], str]
    varies: bool = True

    def text(self, line: Line) -> str:
        """The line's mean, with the standard deviation over seeds if there are several."""
        if self.metric not in line.mean:
            return ""
        spread = f" ± {self.write(line.spread[self.metric])}" if self.varies and self.metric in line.spread else ""
        return self.write(line.mean[self.metric]) + spread

    def is_best(self, line: Line) -> bool:
        """Whether the line is the best method."""
        return self.metric in line.best

    def mark(self, line: Line) -> str:
        """The sign of the best method, or of one that can't be told apart from it, or nothing."""
        return BEST if self.is_best(line) else TIE if self.metric in line.ties else ""

    def marked(self, line: Line) -> str:
        """The text and its mark."""
        return f"{self.text(line)} {self.mark(line)}".rstrip()

    def interval(self, line: Line) -> str:
        """The 95 % interval, or nothing if there is none."""
        if self.metric not in line.intervals:
            return ""
        low, high = line.intervals[self.metric]
        return f"{self.write(low)} to {self.write(high)}"

    def by_seed(self, line: Line) -> list[str]:
        """Every seed's value, if there are several."""
        values = line.by_seed(self.metric)
        return [self.write(value) for value in values.values()] if len(values) > 1 else []


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


def number(value: float) -> str:
    """A number that is no share."""
    return f"{value:.4g}"


def columns(block: Block) -> list[Column]:
    """The columns of a block."""
    return [
        Column("trade-off ↑", TRADE_OFF, percent),
        *([Column("over-forgetting ↓", OVER_FORGETTING, percent)] if _has(OVER_FORGETTING, block) else []),
        *map(_score, block.measures),
        Column("trials", "trials", count, varies=False),
        Column("trained parameters", "trainable_parameters", count, varies=False),
        Column("tuning s", "tuning_wall_seconds", seconds),
        Column("training s", "training_wall_seconds", seconds),
        Column("training GPU s", "training_gpu_seconds", seconds),
        Column("training peak GiB", "training_peak_memory_bytes", gibibytes),
    ]


def _has(metric: str, block: Block) -> bool:
    return any(metric in line.mean for line in block.lines)


def _score(measured: Measured) -> Column:
    title = SHORT.get(measured.name, measured.facts.full_title)
    arrow = "↓" if measured.lower_is_better else "↑"
    write = percent if measured.facts.is_share else number
    rows = measured.rows.replace("_", " ") if measured.rows in SPLITS else measured.rows
    return Column(f"{rows} {title} {arrow}", measured.number, write)


def own_metrics(block: Block, *, tested: bool = False) -> list[Column]:
    """The columns of metrics that plugins have brought.

    Args:
        tested: whether to leave those of training splits out.
    """
    own = [measured for measured in block.measures if not measured.is_built_in]
    return [_score(measured) for measured in own if not (tested and measured.rows.startswith("train_"))]


def leak_columns(block: Block) -> list[Column]:
    """The columns of leak@k, which stand in a table of their own."""
    columns = [Column(f"leak@{samples} ↓", leak_metric(samples), percent) for samples in SAMPLES]
    return [column for column in columns if _has(column.metric, block)]


@dataclass(frozen=True)
class LevelColumn(Column):
    """A number at a level of retention, which no point of a method may reach.

    Attributes:
        reached: the metric that tells the share of the choices that reach it.
        tells: whether that is said beside the number.
    """

    reached: str = ""
    tells: bool = True

    def text(self, line: Line) -> str:
        """Without a number if no seed has a point that keeps as much: it would be the base model's alone."""
        reached = line.mean.get(self.reached, 1.0)
        if reached == 0:
            return "not reached" if self.tells else ""
        share = f" (reached: {100 * reached:.0f} %)" if self.tells and reached < 1 else ""
        return f"{super().text(line)}{share}"

    def interval(self, line: Line) -> str:
        """Nothing if it was not reached."""
        return "" if line.mean.get(self.reached) == 0 else super().interval(line)

    def by_seed(self, line: Line) -> list[str]:
        """Nothing if it was not reached."""
        return [] if line.mean.get(self.reached) == 0 else super().by_seed(line)


def footing_columns(block: Block) -> list[Column]:
    """The columns of equal footing, which stand in a table of their own."""
    found: list[Column] = []
    for level in LEVELS:
        reached = reached_at(level)
        found.append(LevelColumn(f"forget at {level} % ↓", forget_at(level), percent, reached=reached))
        found.append(LevelColumn(f"retained at {level} %", retained_at(level), percent, reached=reached, tells=False))
    found.append(Column("area ↑", AREA, percent))
    return [column for column in found if _has(column.metric, block)]


@dataclass(frozen=True)
class NeedsColumn(Column):
    """A word on what a method needs.

    Attributes:
        word: makes it.
    """

    word: Callable[[NeedsEntry], str] = str

    def text(self, line: Line) -> str:
        """The word, if the results say."""
        needs = line.entries[-1].needs
        return "" if needs is None else self.word(needs)


def needs_columns(block: Block) -> list[Column]:
    """The columns of what methods need, which stand in a table of their own; none if no result says."""
    if all(entry.needs is None for line in block.lines for entry in line.entries):
        return []
    words: dict[str, Callable[[NeedsEntry], str]] = {
        "retain rows": lambda needs: "yes" if needs.retain_rows else "no",
        "of the base model": lambda needs: needs.base_values or "no",
        "trains": lambda needs: needs.trains,
        "more tokens per query": lambda needs: str(needs.query_tokens),
    }
    return [NeedsColumn(title, "", str, varies=False, word=word) for title, word in words.items()]


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
