"""Decides what an idle process does next: cells of its current model, base models, long cells, trials of others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from unlearnbench.cell.cell import Cell, Scenario
from unlearnbench.contract.rows import BASE, REFERENCE_ROWS, RETRAIN
from unlearnbench.grid.runner import Outcome
from unlearnbench.processes.messages import Order
from unlearnbench.storage.lease import WAIT_SECONDS

# How often a cell is run again after its process was lost.
RETRIES = 3


@dataclass(frozen=True)
class _Job:
    cell: Cell
    helps: bool


@dataclass
class Schedule:
    """Assigns the cells of a run to its processes.

    Attributes:
        cells: in the order of the grid.
        seconds: estimated duration of each cell to run, by key.
        trials: number of trials of a tuned cell.
        helps: whether processes without a cell train trials of other processes' cells.
        outcome: result of the cells that have ended so far.
    """

    cells: Sequence[Cell]
    seconds: Mapping[str, float]
    trials: int
    helps: bool = True
    clock: Callable[[], float] = time.monotonic
    outcome: Outcome = field(default_factory=Outcome)
    _jobs: dict[int, _Job] = field(default_factory=dict)
    _scenario_of: dict[int, Scenario] = field(default_factory=dict)
    _elsewhere_until: dict[str, float] = field(default_factory=dict)
    _lost: Counter[str] = field(default_factory=Counter)
    _nothing_left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._waiting = {cell.key: cell for cell in self.cells if cell.key in self.seconds}

    @property
    def is_over(self) -> bool:
        """Whether no cell is waiting or running."""
        return not self._waiting and not self._running

    def next(self, worker: int) -> Order | None:
        """The next order for an idle process; None if there is nothing to do at the moment."""
        cell, helps = self._next_cell(worker), False
        if cell is None:
            cell, helps = self._next_to_help(), True
        if cell is None:
            return None
        if not helps:
            del self._waiting[cell.key]
        self._jobs[worker] = _Job(cell, helps)
        self._scenario_of[worker] = cell.scenario
        leader = None if cell.leader is None else cell.leader.name
        failed = {name: reason for name, reason in self.outcome.failed.items() if name == leader}
        return Order(cell.key, self.seconds[cell.key], helps, failed)

    def is_busy(self, worker: int) -> bool:
        """Whether a process is carrying out an order."""
        return worker in self._jobs

    def cell_done(self, worker: int, outcome: Outcome | None) -> None:
        """A process has run its cell; `outcome` is None if a process of another run had claimed the cell."""
        cell = self._jobs.pop(worker).cell
        if outcome is not None:
            self.outcome += outcome
            return
        self._waiting[cell.key] = cell
        self._elsewhere_until[cell.key] = self.clock() + WAIT_SECONDS

    def help_done(self, worker: int, found: bool) -> None:
        """A process has trained a trial for another one, or has found that all of them were already started."""
        cell = self._jobs.pop(worker).cell
        if not found:
            self._nothing_left.add(cell.key)

    def lost(self, worker: int) -> Cell | None:
        """A process has died; returns its cell if that has now happened too often, so that the cell is given up."""
        job = self._jobs.pop(worker, None)
        self._scenario_of.pop(worker, None)
        if job is None:
            return None
        if job.helps:
            self._nothing_left.add(job.cell.key)
            return None
        self._lost[job.cell.key] += 1
        if self._lost[job.cell.key] > RETRIES:
            return job.cell
        self._waiting = {job.cell.key: job.cell, **self._waiting}
        return None

    @property
    def _running(self) -> list[Cell]:
        return [job.cell for job in self._jobs.values() if not job.helps]

    def _next_cell(self, worker: int) -> Cell | None:
        """The longest cell that is ready: the reference models and the values of another seed that it needs exist.

        Cells of the scenario whose model the process has loaded come first, then base models.
        """
        pending = [*self._waiting.values(), *self._running]
        unready = {cell.scenario for cell in pending if _is_needed(cell)}
        open_keys = {cell.key for cell in pending}
        now = self.clock()
        ready = [
            cell
            for cell in self._waiting.values()
            if (cell.row in REFERENCE_ROWS or cell.scenario not in unready)
            and (cell.leader is None or cell.leader.key not in open_keys)
            and self._elsewhere_until.get(cell.key, now) <= now
        ]
        current = self._scenario_of.get(worker)
        return min(
            ready,
            key=lambda cell: (cell.scenario is not current, cell.row != BASE, -self.seconds[cell.key]),
            default=None,
        )

    def _next_to_help(self) -> Cell | None:
        """The cell with the fewest helpers that has trials left; it may be one that another run has claimed."""
        if not self.helps:
            return None
        count = Counter(job.cell.key for job in self._jobs.values() if job.helps)
        elsewhere = [cell for cell in self._waiting.values() if cell.key in self._elsewhere_until]
        candidates = [
            cell
            for cell in [*self._running, *elsewhere]
            if cell.choice is not None
            and cell.choice.space
            and cell.leader is None
            and cell.key not in self._nothing_left
            and count[cell.key] < self.trials - 1
        ]
        return min(candidates, key=lambda cell: count[cell.key], default=None)


def _is_needed(cell: Cell) -> bool:
    """Whether the methods of its scenario start from its model, or are compared with it."""
    return cell.row == BASE or (cell.row == RETRAIN and cell.scenario.forget_target == "oracle")
