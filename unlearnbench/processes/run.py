"""Runs cells in this process or in several, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from unlearnbench.cell.cell import Cell
from unlearnbench.config import RunConfig
from unlearnbench.grid.display import Display
from unlearnbench.grid.runner import Outcome, Runner, invocation, record_loss
from unlearnbench.models.threads import threads_for
from unlearnbench.processes.local import LocalWorkers
from unlearnbench.processes.pool import Workers, run_pool
from unlearnbench.processes.schedule import Schedule
from unlearnbench.processes.worker import Setup
from unlearnbench.tracking.store import Store

StartWorkers = Callable[[Setup, int], AbstractContextManager[Workers]]


def run_cells(
    config: RunConfig,
    store: Store,
    cells: Sequence[Cell],
    todo: Mapping[str, float],
    display: Display,
    count: int,
    *,
    force: bool = False,
    start: StartWorkers | None = None,
) -> Outcome:
    """Runs the cells whose keys are in `todo`, which maps them to their estimated seconds.

    The results are the same for any number of processes.

    Args:
        count: number of processes.
        force: whether cells that have been tuned before are tuned again.
        start: starts processes, if not on this machine.
    """
    if not todo:
        return Outcome()
    models = {cell.scenario.model.identity: cell.scenario.model for cell in cells if cell.key in todo}
    threads = {identity: threads_for(config.model, model) for identity, model in models.items()}
    with display:
        if start is None and count == 1:
            return Runner(config, store, display.reporter(0), force, threads).run(cells, todo)
        with invocation(config, store, len(todo)) as begun:
            whereabouts = config.model_copy(update={"results": store.results})
            wanted = tuple(cell for cell in cells if cell.key in todo)
            setup = Setup(whereabouts, store.experiment, wanted, force, begun, threads)
            schedule = Schedule(wanted, todo, config.tuning.trials, helps=not force)
            with (start or LocalWorkers)(setup, count) as workers:
                return run_pool(
                    workers, schedule, display, lambda cell, reason: record_loss(store, cell, reason, begun)
                )
