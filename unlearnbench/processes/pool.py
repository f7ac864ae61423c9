"""Runs the cells of a run on several processes: gives them work, shows what they do, replaces those that die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from unlearnbench.cell.cell import Cell
from unlearnbench.grid.display import Display
from unlearnbench.grid.runner import Outcome
from unlearnbench.processes.messages import CellDone, Happened, HelpDone, Lost, Message, Order, Ready, Stopped
from unlearnbench.processes.schedule import RETRIES, Schedule
from unlearnbench.processes.worker import WorkerError
from unlearnbench.storage.lease import WAIT_SECONDS


class Workers(Protocol):
    """Processes that each carry out one order at a time, numbered from 0. They start with a `Ready` message."""

    def give(self, worker: int, order: Order) -> None:
        """Sends an order to a process that is free."""

    def receive(self, seconds: float) -> list[tuple[int, Message]]:
        """What processes have told; waits for something, but no longer than that."""

    def restart(self, worker: int) -> None:
        """Starts another process in the place of one that has died."""


def run_pool(
    workers: Workers, schedule: Schedule, display: Display, give_up: Callable[[Cell, str], Outcome]
) -> Outcome:
    """Runs until no cell of the schedule is left.

    Args:
        give_up: records a cell whose processes have died too often, with the reason.

    Raises:
        UserError: a process met something that the user has to mend first.
        WorkerError: a process met an error that it should not, or processes can't be started.
    """
    free: set[int] = set()
    stillborn = 0
    while not schedule.is_over:
        for worker in sorted(free):
            order = schedule.next(worker)
            if order is not None:
                workers.give(worker, order)
                free.discard(worker)
        for worker, message in workers.receive(WAIT_SECONDS):
            match message:
                case Happened(event, arguments):
                    getattr(display.reporter(worker), event)(*arguments)
                    continue
                case Stopped(error):
                    raise error
                case Ready():
                    stillborn = 0
                case CellDone(outcome):
                    schedule.cell_done(worker, outcome)
                case HelpDone(found):
                    schedule.help_done(worker, found)
                case Lost(reason):
                    stillborn += not schedule.is_busy(worker) and worker not in free
                    if stillborn > RETRIES:
                        raise WorkerError(f"processes end before they have begun ({reason}); their messages are above")
                    free.discard(worker)
                    display.lost(worker, reason)
                    given_up = schedule.lost(worker)
                    if given_up is not None:
                        schedule.outcome += give_up(given_up, f"its process ended unexpectedly each time: {reason}")
                    workers.restart(worker)
                    continue
            free.add(worker)
    return schedule.outcome
