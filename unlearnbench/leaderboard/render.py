"""Leaderboards as Markdown and terminal tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from unlearnbench.leaderboard.blocks import Block
from unlearnbench.leaderboard.columns import TIE, columns, is_best, percent
from unlearnbench.leaderboard.entry import SPLITS
from unlearnbench.leaderboard.published import SOURCE, paper_lines
from unlearnbench.leaderboard.tuning_notes import tuning_notes
from unlearnbench.tracking import Failure

NOTE = (
    "Accuracy and weighted F1 in percent, full-vocabulary argmax. Bold: best of the methods. Trade-off: harmonic mean "
    "of (100 - test forget accuracy) and test retain accuracy relative to the base model. Tuning: all trials but the "
    "best; training: the best trial. Peak memory: GPU, or the whole process on a CPU.\n\n"
    f"{TIE}: not significantly different from the best method (paired permutation test on the same test examples with "
    "Holm's correction, and bootstrap interval of the difference); F1 and training splits are not tested. Intervals: "
    "95 %, bootstrap over test examples and, where there are several, seeds."
)


def heading(block: Block) -> str:
    """Task, model and sizes of the four splits."""
    known = block.entries[0].data.sizes
    sizes = ", ".join(f"{split.replace('_', ' ')} {known.get(split, '?')}" for split in SPLITS)
    return f"{block.task} / {block.model} ({sizes})"


def to_markdown(blocks: Sequence[Block], with_paper: bool = False, failed: Sequence[Failure] = ()) -> str:
    """All tables as Markdown, then the cells that have no result."""
    parts = [f"{NOTE}\n", *(_markdown_block(block, with_paper) for block in blocks)]
    if failed:
        reasons = [f"- {escape(failure.name)}: {escape(failure.reason)}" for failure in failed]
        parts.append("\n".join(["## Failed\n", *reasons, ""]))
    return "\n".join(parts)


def _markdown_block(block: Block, with_paper: bool) -> str:
    shown = columns(block)
    rows = [["row", *(column.title for column in shown)]]
    for line in block.lines:
        texts = [
            f"**{column.text(line)}**" if is_best(column, line, block.lines) else column.marked(line)
            for column in shown
        ]
        rows.append([escape(line.title), *texts])
    published = paper_lines(block.task) if with_paper else []
    rows += [[f"*{line.title}*", *(column.text(line) for column in shown)] for line in published]
    rows.insert(1, ["---"] + ["---:"] * len(shown))
    parts = [f"## {escape(heading(block))}\n", *("| " + " | ".join(row) + " |" for row in rows)]
    parts += [*_intervals(block), *_fate(block)]
    seeds = block.seeds
    parts.append(f"\n{'One seed.' if seeds == 1 else f'Mean ± standard deviation over {seeds} seeds.'}")
    parts += map(escape, tuning_notes(block))
    if published:
        parts.append(
            f"Rows marked (paper) are published numbers for LLaMA-2-7B on the whole task ({SOURCE}); they were "
            "measured on another model and other data sizes and are not comparable row by row."
        )
    return "\n".join(parts) + "\n"


def _intervals(block: Block) -> list[str]:
    """A table of the intervals of everything that has one."""
    shown = [column for column in columns(block) if any(column.metric in line.intervals for line in block.lines)]
    if not shown:
        return []
    rows = ["", "| 95 % interval | " + " | ".join(column.title for column in shown) + " |"]
    rows.append("| --- |" + " ---: |" * len(shown))
    for line in block.lines:
        rows.append(f"| {escape(line.title)} | " + " | ".join(column.interval(line) for column in shown) + " |")
    return rows


FATES = ("correct", "generic", "other_label", "anything_else")


def _fate(block: Block) -> list[str]:
    """A second, small table: what became of the test forget examples."""
    rows = ["", "| test forget answered | " + " | ".join(fate.replace("_", " ") for fate in FATES) + " |"]
    rows.append("| --- |" + " ---: |" * len(FATES))
    for line in block.lines:
        values = [line.mean.get(f"test_forget_{fate}") for fate in FATES]
        if None not in values:
            shown = " | ".join(percent(value) for value in values if value is not None)
            rows.append(f"| {escape(line.title)} | {shown} |")
    return rows if len(rows) > 3 else []


def escape(text: str) -> str:
    """Text that can't break a Markdown table or bring HTML along."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def to_terminal(block: Block) -> Table:
    """A block as a table for the terminal, without cost columns that do not fit there."""
    shown = [column for column in columns(block) if column.metric.endswith(("accuracy", "trade_off", "parameters"))]
    table = Table(title=Text(heading(block)), title_justify="left")
    table.add_column("row")
    for column in shown:
        table.add_column(column.title, justify="right", overflow="fold")
    for line in block.lines:
        cells = [
            Text(column.marked(line), style="bold green" if is_best(column, line, block.lines) else "")
            for column in shown
        ]
        table.add_row(Text(line.title), *cells)
    return table
