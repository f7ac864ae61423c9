"""Runs cells on several processes: assigns work, shows progress, and replaces processes that die."""

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
    """Processes, numbered from 0, that each carry out one order at a time. Their first message is `Ready`."""

    def give(self, worker: int, order: Order) -> None:
        """Sends an order to an idle process."""

    def receive(self, seconds: float) -> list[tuple[int, Message]]:
        """Messages of the processes; waits for one for at most this many seconds."""

    def restart(self, worker: int) -> None:
        """Starts a process in place of one that has died."""


def run_pool(
    workers: Workers, schedule: Schedule, display: Display, give_up: Callable[[Cell, str], Outcome]
) -> Outcome:
    """Runs until no cell of the schedule is left.

    Args:
        give_up: records a cell whose processes have died too often, with the reason.

    Raises:
        UserError: a process met a problem that the user must solve first.
        WorkerError: a process raised an unexpected error, or processes can't be started.
    """
    free: set[int] = set()
    failed_starts = 0
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
                    failed_starts = 0
                case CellDone(outcome):
                    schedule.cell_done(worker, outcome)
                case HelpDone(found):
                    schedule.help_done(worker, found)
                case Lost(reason):
                    failed_starts += not schedule.is_busy(worker) and worker not in free
                    if failed_starts > RETRIES:
                        raise WorkerError(f"processes end while they are starting ({reason}); see their messages above")
                    free.discard(worker)
                    display.lost(worker, reason)
                    given_up = schedule.lost(worker)
                    if given_up is not None:
                        schedule.outcome += give_up(given_up, f"its process ended unexpectedly each time: {reason}")
                    workers.restart(worker)
                    continue
            free.add(worker)
    return schedule.outcome
