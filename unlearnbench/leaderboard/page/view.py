"""What a leaderboard page shows of each table, ready for the template."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.identity.differences import told
from unlearnbench.leaderboard.agreement import sentences
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.columns import (
    BEST,
    Column,
    columns,
    footing_columns,
    leak_columns,
    needs_columns,
    own_metrics,
)
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.overall import Overall
from unlearnbench.leaderboard.overall_render import cells, heads, note
from unlearnbench.leaderboard.page.charts import Spec, charts, rank_chart
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.preview import ExamplePreview, Examples
from unlearnbench.leaderboard.published import paper_lines
from unlearnbench.leaderboard.render import FOOTING_NOTE, heading, seeds_note
from unlearnbench.leaderboard.scores import OVER_FORGETTING, TRADE_OFF
from unlearnbench.leaderboard.tuning_notes import tuning_notes
from unlearnbench.leaderboard.utility_render import AGAINST, CAPTION, Change, changes, utility_columns, utility_notes


@dataclass(frozen=True)
class CellView:
    """A cell of the table: text, the value it sorts by, and its marks."""

    text: str
    value: float | None
    interval: str = ""
    by_seed: Sequence[str] = ()
    mark: str = ""

    @property
    def best(self) -> bool:
        """Whether it is the best method's."""
        return self.mark == BEST


@dataclass(frozen=True)
class EntryView:
    """One seed's provenance."""

    heading: str
    facts: Mapping[str, str]
    command: str
    config: str
    trials: Sequence[Sequence[str]]
    examples: Sequence[ExamplePreview]


@dataclass(frozen=True)
class RowView:
    """A line of the table; the paper's have no entries."""

    id: str
    title: str
    cells: Sequence[CellView]
    entries: Sequence[EntryView]
    competes: bool


@dataclass(frozen=True)
class TableView:
    """Some columns of a block, and what must be said of them."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[RowView]
    note: str = ""


@dataclass(frozen=True)
class OverallView:
    """The table over all tasks of a model."""

    id: str
    heading: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: Sequence[str]
    charts: Mapping[str, Spec]


@dataclass(frozen=True)
class BlockView:
    """One task and model: two or three tables, so that no column is out of sight, and charts.

    Attributes:
        published: titles of the paper's lines, if they are shown.
        agreement: how far the order of the methods is the paper's, if its lines are shown.
    """

    id: str
    heading: str
    seeds: str
    notes: Sequence[str]
    tables: Sequence[TableView]
    published: Sequence[str]
    agreement: Sequence[str]
    charts: Mapping[str, Spec]


FOOTING_TITLE = "Equal footing: test forget accuracy where the same share is kept"
NEEDS_TITLE = "What a method needs beside the forget set"
LEAKS_TITLE = "Chance that one of k sampled answers to a test forget example is right"


def view(block: Block, number: int, examples: Examples, with_paper: bool) -> BlockView:
    """The block as the page shows it."""
    shown = columns(block)
    scores = (TRADE_OFF, OVER_FORGETTING)
    first = [column for column in shown if column.metric in scores or column.metric.endswith("_accuracy")]
    own = [column for column in own_metrics(block) if column not in first]
    others = [column for column in shown if column not in first + own]
    footing, leaks, needs = footing_columns(block), leak_columns(block), needs_columns(block)
    published = paper_lines(block.task) if with_paper else []
    lines = [*block.lines, *published]
    return BlockView(
        f"block-{number}",
        heading(block),
        seeds_note(block),
        [*block.notes, *tuning_notes(block), *utility_notes(block)],
        [
            TableView("Accuracy", *_table(first, lines, number, examples)),
            *([TableView("Further metrics", *_table(own, lines, number, examples))] if own else []),
            TableView("F1 and cost", *_table(others, lines, number, examples)),
            *_filled(TableView(FOOTING_TITLE, *_table(footing, block.lines, number, examples), FOOTING_NOTE)),
            *_filled(TableView(LEAKS_TITLE, *_table(leaks, block.lines, number, examples))),
            *_utility(block, number, examples),
            *_filled(TableView(NEEDS_TITLE, *_table(needs, block.lines, number, examples))),
        ],
        [line.title for line in published],
        sentences(block, published),
        charts(block, with_paper),
    )


def _filled(table: TableView) -> list[TableView]:
    """The table without rows that have nothing in it; nothing if there are no others."""
    rows = [row for row in table.rows if any(cell.text for cell in row.cells)]
    return [replace(table, rows=rows)] if rows else []


def _utility(block: Block, number: int, examples: Examples) -> list[TableView]:
    """Benchmarks of lm-evaluation-harness, each followed by the difference to the base model."""
    shown = utility_columns(block)
    titles, rows = _table([column for _, column in shown], block.lines, number, examples)
    against = [changes(block, one.metric) for one, _ in shown]
    with_changes = [
        replace(row, cells=[cell for pair in zip(row.cells, _changed(line, against), strict=True) for cell in pair])
        for row, line in zip(rows, block.lines, strict=True)
    ]
    heads = [text for title in titles for text in (title, AGAINST)]
    return _filled(TableView(CAPTION, heads, with_changes))


def _changed(line: Line, against: Sequence[Mapping[str, Change]]) -> list[CellView]:
    found = [changes.get(line.row) for changes in against]
    return [CellView("", None) if one is None else CellView(one.text, one.value, one.bounds) for one in found]


def _table(
    shown: Sequence[Column], lines: Sequence[Line], number: int, examples: Examples
) -> tuple[list[str], list[RowView]]:
    rows = [
        RowView(
            f"block-{number}-row-{position}",
            line.title,
            [
                CellView(
                    column.text(line),
                    line.mean.get(column.metric),
                    column.interval(line),
                    column.by_seed(line) if column.metric in line.intervals else (),
                    column.mark(line),
                )
                for column in shown
            ],
            [_entry_view(entry, examples) for entry in line.entries],
            line.competes,
        )
        for position, line in enumerate(lines)
    ]
    return [column.title for column in shown], rows


def overall_view(overall: Overall, number: int) -> OverallView:
    """The table over all tasks as the page shows it."""
    return OverallView(
        f"overall-{number}",
        overall.title,
        note(overall),
        heads(overall),
        [cells(overall, standing) for standing in overall.standings],
        overall.left_out,
        {"ranks": rank_chart(overall)},
    )


def _entry_view(entry: Entry, examples: Examples) -> EntryView:
    facts = {
        "task": entry.task,
        "model": entry.model,
        "plugin": entry.plugin or "part of the harness",
        "preset": entry.preset,
        "tuning": _tuning(entry),
        **{
            f"value of {name}": value + (f" ({entry.edges[name]} end of its range)" if name in entry.edges else "")
            for name, value in sorted(entry.hyperparameters.items())
        },
        "data": entry.data.source,
        "data fingerprint": entry.data.fingerprint,
        "recorded": entry.recorded.isoformat(sep=" "),
        **{
            f"metric {one.name}, added later": f"{one.added.isoformat(sep=' ')}, by {one.package} {one.version}"
            + (", from the kept model" if one.by == "model" else ", from stored predictions")
            for one in entry.added
        },
        **{
            f"utility {one.name}, asked later": f"{one.added.isoformat(sep=' ')}, by unlearnbench {one.package} with "
            f"{one.harness}; its version {one.version}, {one.few_shots} solved examples in a prompt"
            + ("" if one.seed is None else f", examples drawn with seed {one.seed}")
            for one in entry.utility
        },
        "key": entry.key,
        **{f"identity, {name}": value for name, value in told(entry.identity)},
        **{f"version of {name}": value for name, value in entry.versions.items()},
        **{f"hardware, {name}": value for name, value in entry.hardware.items()},
    }
    config = "" if entry.config is None else yaml.safe_dump(entry.config, sort_keys=False)
    command = shlex.join(["unlearnbench", "run", "--config", "cell.yaml"])
    heading = "any seed" if entry.seed is None else f"seed {entry.seed}"
    return EntryView(heading, facts, command, config, _trials(entry), examples.get(entry.key, ()))


def _tuning(entry: Entry) -> str:
    """How many trials there were, and whose values were taken if not its own."""
    if entry.row in REFERENCE_ROWS:
        return "none: not a method"
    if entry.trial_budget is None:
        return "none: nothing to tune"
    if entry.trial_budget < 2:
        return "none: declared values"
    count = round(entry.metrics.get("trials", 0)) or len(entry.trials)
    trials = f"{count} of at most {entry.trial_budget} trials"
    return trials if entry.tuned_on in (None, entry.seed) else f"values of seed {entry.tuned_on}, {trials}"


def _trials(entry: Entry) -> list[list[str]]:
    """Each trial's number, values, objective, forget and retain accuracy, and why it was pruned."""
    return [
        [
            str(trial.number),
            ", ".join(f"{name} = {value}" for name, value in trial.values.items()),
            *(
                "" if value is None else percent(value)
                for value in (trial.objective, trial.forget_accuracy, trial.retain_accuracy)
            ),
            trial.pruned or "",
        ]
        for trial in entry.trials
    ]


def chart_specs(views: Sequence[BlockView | OverallView]) -> dict[str, Any]:
    """All charts by the id of their element."""
    return {f"{view.id}-{name}": spec for view in views for name, spec in view.charts.items()}
