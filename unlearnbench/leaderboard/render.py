"""Leaderboards as Markdown and terminal tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from unlearnbench.console.private import without_places
from unlearnbench.identity.ids import ZERO
from unlearnbench.leaderboard.agreement import sentences
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.columns import (
    BEST,
    TIE,
    Column,
    columns,
    footing_columns,
    leak_columns,
    needs_columns,
    own_metrics,
)
from unlearnbench.leaderboard.entry import SPLITS
from unlearnbench.leaderboard.learned import learned_notes
from unlearnbench.leaderboard.markdown import escape, table
from unlearnbench.leaderboard.overall import overall
from unlearnbench.leaderboard.overall_render import overall_markdown
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.published import SOURCE, paper_lines
from unlearnbench.leaderboard.scores import OVER_FORGETTING, TRADE_OFF
from unlearnbench.leaderboard.sets import OUTCOMES
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS
from unlearnbench.leaderboard.terminal import fitting
from unlearnbench.leaderboard.tuning_notes import tuning_notes
from unlearnbench.leaderboard.utility_render import utility_markdown
from unlearnbench.tracking.store import Failure

# In a cell of a terminal's table; leaderboard.md has every seed.
SEEDS_SHOWN, SEEDS_A_LINE = 6, 3
NOTE = (
    "Accuracy and weighted F1 in percent, full-vocabulary argmax. Trade-off: harmonic mean of (100 - test forget "
    "accuracy) and test retain accuracy relative to the base model. Tuning: all trials but the best; training: the "
    "best trial. Peak memory: GPU, or the whole process on a CPU.\n\n"
    f"{BEST} and bold: the best method. {TIE}: not shown to differ from it (Games-Howell over all methods, 5 %; seeds "
    "are a random factor, test examples are shared). Trade-off and test accuracies are judged, F1 and training splits "
    "are not. Intervals: 95 %, over seeds and test examples. A score belongs to a method with its trials, the best one "
    "kept: trained again with another seed, the same hyper-parameters tend to score lower."
)


def seeds_note(block: Block) -> str:
    """What the block's seeds say, and what they can't."""
    count = len(block.seeds)
    if count <= 1:
        return "One seed: examples only. Intervals know nothing of other seeds, and nothing is claimed between methods."
    over = f"Mean ± standard deviation over {count} seeds ({', '.join(map(str, block.seeds))})"
    few = f"; with fewer than {FEWEST_SEEDS} nothing is claimed between methods"
    return f"{over}{few if count < FEWEST_SEEDS else ''}."


def heading(block: Block) -> str:
    """Task, model, sizes of the four splits, and the target of forgetting if it is not zero."""
    known = block.entries[0].data.sizes
    sizes = ", ".join(f"{split.replace('_', ' ')} {known.get(split, '?')}" for split in SPLITS)
    target = "" if block.target == ZERO else f", forget target {block.target}"
    return f"{block.task} / {block.model} ({sizes}{target})"


def to_markdown(blocks: Sequence[Block], with_paper: bool = False, failed: Sequence[Failure] = ()) -> str:
    """The table over all tasks, then each task's as Markdown, then the cells that have no result."""
    answers = [overall_markdown(table) for table in overall(blocks)]
    parts = [*answers, f"{NOTE}\n", *(_markdown_block(block, with_paper) for block in blocks)]
    if failed:
        reasons = [f"- {escape(failure.name)}: {escape(without_places(failure.reason))}" for failure in failed]
        parts.append("\n".join(["## Failed\n", *reasons, ""]))
    return "\n".join(parts)


def _markdown_block(block: Block, with_paper: bool) -> str:
    shown = columns(block)
    rows = []
    for line in block.lines:
        texts = [f"**{column.marked(line)}**" if column.is_best(line) else column.marked(line) for column in shown]
        rows.append([line.title, *texts])
    published = paper_lines(block.task) if with_paper else []
    rows += [[f"*{line.title}*", *(column.text(line) for column in shown)] for line in published]
    heads = ["row", *(column.title for column in shown)]
    parts = [f"## {escape(heading(block))}\n", *table(f"l{'r' * len(shown)}", heads, rows)]
    parts += [f"\n{' '.join([seeds_note(block), *map(escape, [*block.notes, *tuning_notes(block)])])}"]
    parts += [*_every_seed(block), *_outcomes(block), *_footing(block), *_leaks(block), *utility_markdown(block)]
    parts += _needs(block)
    if published:
        parts.append(
            f"\nRows marked (paper) are published numbers for LLaMA-2-7B on the whole task ({SOURCE}); they were "
            "measured on another model and other data sizes and are not comparable row by row."
        )
        parts += ["", *(f"- {escape(sentence)}" for sentence in sentences(block, published))]
    return "\n".join(parts) + "\n"


def _every_seed(block: Block) -> list[str]:
    """For each judged column a table of means, intervals and every seed's value."""
    parts = []
    for column in judged(block):
        heads = [column.title, "mean", "95 % interval", *(f"seed {seed}" for seed in block.seeds)]
        rows = [
            [
                line.title,
                column.write(line.mean[column.metric]),
                column.interval(line),
                *seed_texts(column, line, block),
            ]
            for line in block.lines
            if column.metric in line.intervals
        ]
        parts += ["", *table(f"lrr{'r' * len(block.seeds)}", heads, rows)]
    return parts


def judged(block: Block) -> list[Column]:
    """The columns that have intervals."""
    return [column for column in columns(block) if any(column.metric in line.intervals for line in block.lines)]


def seed_texts(column: Column, line: Line, block: Block) -> list[str]:
    """The line's value of each of the block's seeds; empty for a seed that it lacks."""
    values = line.by_seed(column.metric)
    return [column.write(values[seed]) if seed in values else "" for seed in block.seeds]


def _outcomes(block: Block) -> list[str]:
    """A second, small table: what became of the test forget examples."""
    rows = []
    for line in block.lines:
        values = [line.mean.get(f"test_forget_{outcome}") for outcome in OUTCOMES]
        if None not in values:
            rows.append([line.title, *(percent(value) for value in values if value is not None)])
    heads = ["test forget answered", *(outcome.replace("_", " ") for outcome in OUTCOMES)]
    return ["", *table(f"l{'r' * len(OUTCOMES)}", heads, rows)] if rows else []


FOOTING_NOTE = (
    "Equal footing: test forget accuracy where a method keeps at least 95 or 90 % of the base model's test retain "
    "accuracy, of all its trials and the steps that were tested; what it keeps there, relative to the base model; and "
    "the share forgotten, averaged over all levels of retention (area). Half of up to 100 examples of each set chooses "
    "the point, the other half shows it, and the other way round. Where no point keeps as much the base model stands "
    "in; reached: share of the choices for which one does. 95 % intervals."
)


def _footing(block: Block) -> list[str]:
    """A table of forget accuracies at the same retention, with intervals."""
    shown = footing_columns(block)
    lines = [line for line in block.lines if shown and shown[0].metric in line.mean]
    return _small_table("equal footing", shown, lines, _with_interval, FOOTING_NOTE)


def _with_interval(column: Column, line: Line) -> str:
    interval = column.interval(line)
    return f"{column.text(line)} ({interval})" if interval else column.text(line)


LEAK_NOTE = (
    "leak@k: the chance that at least one of k answers, sampled at temperature 1, begins with the right answer to a "
    "test forget example: 1 - (1 - p)^k from its probability p, mean over examples; nothing is sampled. 95 % intervals."
)


def _leaks(block: Block) -> list[str]:
    """A table of leak@k with intervals."""
    shown = leak_columns(block)
    lines = [line for line in block.lines if shown and shown[0].metric in line.intervals]
    return _small_table("test forget", shown, lines, _mean_and_interval, LEAK_NOTE)


def _mean_and_interval(column: Column, line: Line) -> str:
    return f"{column.write(line.mean[column.metric])} ({column.interval(line)})"


def _needs(block: Block) -> list[str]:
    """A table of what methods need beside the forget set."""
    shown = needs_columns(block)
    lines = [line for line in block.lines if any(column.text(line) for column in shown)]
    return _small_table("needs", shown, lines, lambda column, line: column.text(line))


def _small_table(
    head: str, shown: Sequence[Column], lines: Sequence[Line], cell: Callable[[Column, Line], str], note: str = ""
) -> list[str]:
    """A table of its own beneath the block's; nothing without lines."""
    if not lines:
        return []
    rows = [[line.title, *(cell(column, line) for column in shown)] for line in lines]
    markdown = table(f"l{'r' * len(shown)}", [head, *(column.title for column in shown)], rows)
    return ["", *markdown, *([f"\n{note}"] if note else [])]


def to_terminal(block: Block, width: int) -> list[Table]:
    """A block as tables for a terminal of that width, without F1 and most costs, with a few seeds' values."""
    own = own_metrics(block, tested=True)
    scores = ("accuracy", TRADE_OFF, OVER_FORGETTING)
    accuracies = [column for column in columns(block) if column.metric.endswith(scores)]
    costs = [column for column in columns(block) if column.metric.endswith("parameters")]
    shown = [*accuracies, *(column for column in own if column not in accuracies), *costs]
    rows = [[Text(line.title), *(_terminal_cell(column, line) for column in shown)] for line in block.lines]
    return fitting(heading(block), _caption(block), ["row", *(column.title for column in shown)], rows, width)


def _caption(block: Block) -> str:
    marks = any(line.best or line.ties for line in block.lines)
    legend = f" {BEST} best method; {TIE} not shown to differ from it." if marks else ""
    left_out = " Every seed's values are in leaderboard.md." if len(block.seeds) > SEEDS_SHOWN else ""
    unlearned = "".join(f"{note} " for note in learned_notes(block.yardstick.bases))
    return f"{unlearned}{seeds_note(block)}{legend}{left_out}"


def _terminal_cell(column: Column, line: Line) -> Text:
    cell = Text(column.marked(line), style="bold green" if column.is_best(line) else "")
    values = column.by_seed(line)
    if column.metric in line.intervals and 0 < len(values) <= SEEDS_SHOWN:
        for start in range(0, len(values), SEEDS_A_LINE):
            cell.append(f"\n{' '.join(values[start : start + SEEDS_A_LINE])}", style="not bold dim")
    return cell
