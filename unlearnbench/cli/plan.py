"""The plan of a run as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from unlearnbench.console.safe_text import safe
from unlearnbench.grid.display import duration

if TYPE_CHECKING:
    from unlearnbench.cell.cell import Cell, Scenario
    from unlearnbench.grid.estimate import Estimator


def plan_table(
    cells: Iterable[Cell], todo: Mapping[str, float], failed: Collection[str], estimator: Estimator
) -> Table:
    """A line per model and task; seeds with the same numbers of examples share it.

    Args:
        todo: estimated seconds by the keys of the cells that will be run.
        failed: keys of the cells that failed before and are left out.
    """
    table = Table(title="Plan", title_justify="left")
    table.add_column("model / task", overflow="fold")
    table.add_column("forget + retain", overflow="fold")
    table.add_column("rows", overflow="fold", min_width=16)
    table.add_column("time", no_wrap=True)
    table.add_column("memory", no_wrap=True)
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        scenario = cell.scenario
        groups.setdefault((scenario.model.spec.name, scenario.data.task.name, _sizes(scenario)), []).append(cell)
    for (model, task, sizes), group in groups.items():
        seeds = _in_order(cell.scenario.seed for cell in group)
        table.add_row(
            Text(f"{safe(f'{model} / {task}')}\n{_named(seeds)}"),
            Text(sizes),
            Text(_states(group, todo, failed, seeds)),
            duration(sum(todo.get(cell.key, 0.0) for cell in group)),
            f"{max(estimator.peak_bytes(cell) for cell in group) / 2**30:.1f} GiB",
        )
    return table


def _sizes(scenario: Scenario) -> str:
    splits = scenario.data.splits
    return "\n".join(
        [
            f"train {len(splits.train_forget)} + {len(splits.train_retain)}",
            f"test {len(splits.test_forget)} + {len(splits.test_retain)}",
            *(f"transfer {safe(transfer.task.name)} {len(transfer.examples)}" for transfer in scenario.transfer),
        ]
    )


def _states(group: Sequence[Cell], todo: Mapping[str, float], failed: Collection[str], seeds: Sequence[int]) -> str:
    """What is to be run, what is finished and what failed before: a line each."""
    states: dict[str, list[Cell]] = {"to run": [], "finished": [], "failed before": []}
    for cell in group:
        states["to run" if cell.key in todo else "failed before" if cell.key in failed else "finished"].append(cell)
    return "\n".join(f"{state}: {_rows(held, group)}" for state, held in states.items() if held)


def _rows(held: Sequence[Cell], group: Sequence[Cell]) -> str:
    """The rows of the cells; a row that has other seeds in the group, too, with those that it has here."""
    texts = []
    for row in dict.fromkeys(cell.row for cell in group):
        here = _in_order(cell.scenario.seed for cell in held if cell.row == row)
        if not here:
            continue
        all_of_row = {cell.scenario.seed for cell in group if cell.row == row}
        texts.append(safe(row) if len(here) == len(all_of_row) else f"{safe(row)} ({_named(here)})")
    return ", ".join(texts)


def _in_order(seeds: Iterable[int]) -> list[int]:
    return sorted(set(seeds))


def _named(seeds: Sequence[int]) -> str:
    """Such as "seed 3" or "seeds 0-4, 7"."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(parts)}"
