"""What a run will compute: its cells, those of them that have no result yet, and how long they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from unlearnbench.cell.cell import Cell
from unlearnbench.config import RunConfig
from unlearnbench.grid.estimate import Estimator
from unlearnbench.grid.grid import build_grid, follow, shard_of
from unlearnbench.grid.process_count import Planned, plan_processes
from unlearnbench.models.usable import usable_models
from unlearnbench.plugins import Registry
from unlearnbench.tracking.store import Store

Again = Literal["nothing", "failed", "all"]


@dataclass(frozen=True)
class Plan:
    """The cells of a run.

    Attributes:
        todo: estimated seconds by the keys of the cells that will be run.
        failed: reason of each cell that failed before and is left out, by its key.
        processes: how many of this machine share the cells.
        unusable: why models of the configuration are left out, by what they were named.
    """

    config: RunConfig
    store: Store
    cells: Sequence[Cell]
    todo: Mapping[str, float]
    failed: Mapping[str, str]
    estimator: Estimator
    processes: Planned
    unusable: Mapping[str, str]

    @property
    def keys(self) -> set[str]:
        """Of all cells."""
        return {cell.key for cell in self.cells}

    @property
    def counts(self) -> str:
        """How many cells are to be run, finished before, and failed before, in words."""
        failed = f", {len(self.failed)} failed before (--retry-failed runs them again)" if self.failed else ""
        finished = len(self.cells) - len(self.todo) - len(self.failed)
        return f"{len(self.todo)} cell{'' if len(self.todo) == 1 else 's'} to run, {finished} finished before{failed}"

    @property
    def failed_names(self) -> dict[str, str]:
        """Reason of each cell that is left out, by its name."""
        return {cell.name: self.failed[cell.key] for cell in self.cells if cell.key in self.failed}


def plan_run(
    config: RunConfig,
    known: Registry,
    *,
    again: Again = "nothing",
    part: tuple[int, int] = (1, 1),
    chosen: Callable[[Sequence[Cell]], Sequence[Cell]] | None = None,
) -> Plan:
    """Opens the results store and looks up what is to be run.

    Args:
        again: which cells are run though they have ended before.
        part: which of how many parts of the grid.
        chosen: picks some of the grid's cells.

    Raises:
        UserError: a name is unknown, data or all models can't be read, or the store can't be opened.
    """
    config, unusable = usable_models(config, known.models)
    cells: Sequence[Cell] = build_grid(config, known)
    store = Store(config.results, config.tracking_uri, optuna_storage=config.optuna_storage)
    cells = shard_of(follow(cells, store.tuned_seeds()), *part)
    return plan_cells(config, store, cells if chosen is None else chosen(cells), again, unusable)


def plan_cells(
    config: RunConfig, store: Store, cells: Sequence[Cell], again: Again, unusable: Mapping[str, str]
) -> Plan:
    """Looks up which of the cells are to be run.

    Args:
        again: which cells are run though they have ended before.
        unusable: why models are left out.
    """
    finished = set() if again == "all" else set(store.finished_cells())
    failures = store.failed_cells() if again == "nothing" else {}
    failed = {cell.key: failures[cell.key].reason for cell in cells if cell.key in failures}
    estimator = Estimator(config)
    left_out = finished | set(failed)
    todo = {cell.key: estimator.seconds(cell) for cell in cells if cell.key not in left_out}
    return Plan(config, store, cells, todo, failed, estimator, plan_processes(config, cells, todo, estimator), unusable)
