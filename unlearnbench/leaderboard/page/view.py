"""What a leaderboard page shows of each table, ready for the template."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from unlearnbench.leaderboard.blocks import Block
from unlearnbench.leaderboard.columns import BEST, columns
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.page.charts import Spec, charts
from unlearnbench.leaderboard.published import paper_lines
from unlearnbench.leaderboard.render import heading, seeds_note
from unlearnbench.leaderboard.shown import Examples, Shown
from unlearnbench.leaderboard.tuning_notes import tuning_notes


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
    examples: Sequence[Shown]


@dataclass(frozen=True)
class RowView:
    """A line of the table; the paper's have no entries."""

    id: str
    title: str
    cells: Sequence[CellView]
    entries: Sequence[EntryView]
    competes: bool


@dataclass(frozen=True)
class BlockView:
    """One table with its charts."""

    id: str
    heading: str
    seeds: str
    notes: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[RowView]
    paper: bool
    charts: Mapping[str, Spec]


def view(block: Block, number: int, examples: Examples, with_paper: bool) -> BlockView:
    """The block as the page shows it."""
    shown = columns(block)
    published = paper_lines(block.task) if with_paper else []
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
        for position, line in enumerate([*block.lines, *published])
    ]
    return BlockView(
        f"block-{number}",
        heading(block),
        seeds_note(block),
        tuning_notes(block),
        [column.title for column in shown],
        rows,
        bool(paper_lines(block.task)),
        charts(block),
    )


def _tuning(entry: Entry) -> str:
    trials = f"{entry.metrics.get('trials', len(entry.trials)):.0f} trials of at most {entry.trial_budget}"
    return trials if entry.tuned_on in (None, entry.seed) else f"values of seed {entry.tuned_on}, {trials}"


def _entry_view(entry: Entry, examples: Examples) -> EntryView:
    facts = {
        "task": entry.task,
        "model": f"{entry.model} ({entry.model_revision})",
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
        "key": entry.key,
        **{f"version of {name}": value for name, value in entry.versions.items()},
        **{f"hardware, {name}": value for name, value in entry.hardware.items()},
    }
    config = "" if entry.config is None else yaml.safe_dump(entry.config, sort_keys=False)
    command = shlex.join(["unlearnbench", "run", "--config", "cell.yaml"])
    heading = "any seed" if entry.seed is None else f"seed {entry.seed}"
    return EntryView(heading, facts, command, config, examples.get(entry.key, ()))


def chart_specs(views: Sequence[BlockView]) -> dict[str, Any]:
    """All charts by the id of their element."""
    return {f"{view.id}-{name}": spec for view in views for name, spec in view.charts.items()}
