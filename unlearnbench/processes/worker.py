"""A worker process of a run: runs cells and trains trials as ordered, one at a time."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unlearnbench.cell.cell import Cell
from unlearnbench.config import RunConfig
from unlearnbench.console.quiet import quiet_libraries
from unlearnbench.engine.training import Progress
from unlearnbench.errors import UserError
from unlearnbench.grid.runner import Invocation, Runner
from unlearnbench.processes.messages import CellDone, Happened, HelpDone, Message, Order, Stopped
from unlearnbench.tracking.store import Store

STEPS_SHOWN_PER_SECOND = 4.0


@dataclass(frozen=True)
class Setup:
    """What a process needs to know about the run.

    Attributes:
        experiment: name of the MLflow experiment.
        threads: number of threads by the model's identity, decided once so that all processes use the same.
    """

    config: RunConfig
    experiment: str
    cells: tuple[Cell, ...]
    force: bool
    invocation: Invocation
    threads: Mapping[str, int]


class WorkerError(Exception):
    """An unexpected error in a worker process; the message is its traceback."""


class Worker:
    """Carries out orders, and reports progress with `send`."""

    def __init__(self, setup: Setup, send: Callable[[Message], None]) -> None:
        quiet_libraries()
        config = setup.config
        store = Store(config.results, config.tracking_uri, setup.experiment, config.optuna_storage)
        self._runner = Runner(config, store, _Sender(send), setup.force, dict(setup.threads))
        self._cells = {cell.key: cell for cell in setup.cells}
        self._invocation = setup.invocation

    def do(self, order: Order) -> Message:
        """Carries out one order and returns how it ended."""
        cell = self._cells[order.key]
        try:
            if order.helps:
                return HelpDone(self._runner.help([cell]))
            self._runner.failed |= order.failed
            return CellDone(self._runner.run_one(cell, order.seconds, self._invocation))
        except Exception as error:
            return stopped(error)


def stopped(error: Exception) -> Stopped:
    """The error that ends the run, in a form that can be sent: a sentence for the user, or a traceback."""
    if isinstance(error, UserError):
        return Stopped(UserError(str(error)))
    return Stopped(WorkerError("".join(traceback.format_exception(error))))


@dataclass
class _Sender:
    """A reporter that sends events to the directing process, and only a few steps per second."""

    send: Callable[[Message], None]
    _last: float = field(default=0.0)

    def cell_started(self, name: str, seconds: float) -> None:
        self._tell("cell_started", name, seconds)

    def cell_ended(self, message: str) -> None:
        self._tell("cell_ended", message)

    def stage(self, name: str) -> None:
        self._tell("stage", name)

    def step(self, progress: Progress) -> None:
        if time.monotonic() - self._last >= 1 / STEPS_SHOWN_PER_SECOND:
            self._last = time.monotonic()
            self._tell("step", progress)

    def note(self, text: str) -> None:
        self._tell("note", text)

    def _tell(self, event: str, *arguments: Any) -> None:
        self.send(Happened(event, arguments))
