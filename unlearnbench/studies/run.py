"""Runs the points of a study through the ordinary runner, and writes its table and picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from unlearnbench.cell.cell import Cell
from unlearnbench.config import RunConfig
from unlearnbench.contract.hyperparameters import declared
from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.errors import UserError
from unlearnbench.grid.choosing import choose_methods
from unlearnbench.grid.display import Display
from unlearnbench.grid.grid import build_grid
from unlearnbench.grid.plan import Again, Plan, plan_cells
from unlearnbench.leaderboard.stored import read_entries
from unlearnbench.plugins import Registry
from unlearnbench.processes.run import run_cells
from unlearnbench.studies.files import write_files
from unlearnbench.studies.outcome import collect, published, to_frame, to_markdown
from unlearnbench.studies.plots import draw
from unlearnbench.studies.points import Point, Study
from unlearnbench.tracking.store import Store

# Makes a display for cells of these estimated seconds and so many processes.
MakeDisplay = Callable[[list[float], int], Display]


def plan(study: Study, config: RunConfig, registry: Registry) -> list[tuple[Point, list[Cell]]]:
    """The study's points with their cells.

    Raises:
        UserError: a name is unknown, or a method lacks a hyper-parameter that the study varies.
    """
    for method in choose_methods(config, registry):
        parameters = declared(method.item)
        missing = [need for need in study.needs if need not in parameters]
        if missing:
            raise UserError(
                f"study {study.name} varies {' and '.join(study.needs)}, but method {method.item.name} has no "
                f"{missing[0]}: name methods that have them with --methods."
            )
    if len(set(config.seeds)) < study.fewest_seeds:
        raise UserError(
            f"study {study.name} compares what differs between seeds, but there is one: name several, as in "
            "--seeds 0,1,2,3,4."
        )
    return [(point, build_grid(point.config, registry)) for point in study.points(config)]


def plan_points(points: Sequence[tuple[Point, list[Cell]]], store: Store, again: Again) -> list[tuple[Point, Plan]]:
    """What each point has to run. A cell that several points share, as a base model, is the first one's alone."""
    planned: list[tuple[Point, Plan]] = []
    seen: set[str] = set()
    for point, cells in points:
        new = [cell for cell in cells if cell.key not in seen]
        seen |= {cell.key for cell in new}
        planned.append((point, plan_cells(point.config, store, new, again, {})))
    return planned


def statement(point: Point, plan: Plan) -> str:
    """The point, and what is to be done for it."""
    return f"{_named(point)}: {plan.counts}{plan.processes.statement}"


def run_points(
    planned: Sequence[tuple[Point, Plan]],
    make_display: MakeDisplay,
    announce: Callable[[str], None],
    *,
    force: bool = False,
) -> dict[str, str]:
    """Runs what is planned; returns each failed cell's reason by point and name, of those that failed before, too."""
    failed: dict[str, str] = {}
    for point, plan in planned:
        announce(statement(point, plan))
        count = plan.processes.count
        display = make_display(list(plan.todo.values()), count)
        outcome = run_cells(plan.config, plan.store, plan.cells, plan.todo, display, count, force=force)
        for name, reason in (plan.failed_names | outcome.failed).items():
            failed[f"{_named(point)}: {name}"] = reason
    return failed


def _named(point: Point) -> str:
    return ", ".join(f"{name} = {value}" for name, value in point.values.items())


def write_study(study: Study, planned: Sequence[tuple[Point, list[Cell]]], store: Store) -> list[Path]:
    """Writes the table and the picture of what has finished.

    Raises:
        UserError: nothing has.
    """
    points = [(point, {cell.key for cell in cells}) for point, cells in planned]
    found = collect(points, read_entries(store))
    if all(line.row in REFERENCE_ROWS for line in found):
        raise UserError(f"no cell of study {study.name} has finished: see the reasons above.")
    found += published(study, {line.task for line in found}, {line.row for line in found})
    return write_files(study.name, store, to_markdown(study, found), to_frame(study, found), draw(study, found))


def experiment(study: str) -> str:
    """The MLflow experiment of a study: kept apart from the leaderboard's, which shows one setting per method."""
    return f"unlearnbench study {study}"
