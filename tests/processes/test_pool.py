"""How the pool handles the messages of its processes, which are fakes."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from tests.processes.test_schedule import HERE, FakeCell, schedule
from unlearnbench.engine.training import Progress
from unlearnbench.errors import UserError
from unlearnbench.grid.display import LogDisplay
from unlearnbench.grid.runner import Outcome
from unlearnbench.processes.messages import CellDone, Happened, Lost, Message, Order, Ready, Stopped
from unlearnbench.processes.pool import run_pool
from unlearnbench.processes.schedule import RETRIES
from unlearnbench.processes.worker import WorkerError


class FakeWorkers:
    """Answers each order with the next prepared messages for its cell; if none are left, the cell is done."""

    def __init__(self, count: int, answers: dict[str, list[list[Message]]], starts: bool = True) -> None:
        self.answers, self.first = answers, Ready() if starts else Lost("exit code 1")
        self.given: list[tuple[int, Order]] = []
        self.restarted: list[int] = []
        self.messages: list[tuple[int, Message]] = [(worker, self.first) for worker in range(count)]

    def give(self, worker: int, order: Order) -> None:
        self.given.append((worker, order))
        prepared = self.answers.get(order.key, [])
        answer = prepared.pop(0) if prepared else [CellDone(Outcome(done=1))]
        self.messages += [(worker, message) for message in answer]

    def receive(self, seconds: float) -> list[tuple[int, Message]]:
        messages, self.messages = self.messages, []
        return messages

    def restart(self, worker: int) -> None:
        self.restarted.append(worker)
        self.messages.append((worker, self.first))


def run(workers: FakeWorkers, *cells: FakeCell) -> tuple[Outcome, str]:
    plan, _ = schedule(*cells, trials=0)
    output = StringIO()
    display = LogDisplay(Console(file=output, width=200), [1.0] * len(cells), quiet=False, processes=2)

    def give_up(cell: Any, reason: str) -> Outcome:
        return Outcome(failed={cell.key: reason})

    return run_pool(workers, plan, display, give_up), output.getvalue()


def test_events_are_shown_and_outcomes_are_summed() -> None:
    events: list[Message] = [
        Happened("cell_started", ("m / sst2 / seed 0 / ga", 1.0)),
        Happened("stage", ("trial 1",)),
        Happened("step", (Progress(1, 2, 0, 0.5),)),
        Happened("cell_ended", ("FAILED: it diverged",)),
        CellDone(Outcome(failed={"a": "it diverged"})),
    ]
    outcome, shown = run(FakeWorkers(2, {"a": [events]}), FakeCell("a", HERE), FakeCell("b", HERE))
    assert outcome == Outcome(done=1, failed={"a": "it diverged"})
    lines = [line.split(" ", 1)[1] for line in shown.splitlines()]
    assert lines[0].startswith("[1] cell 1/2: m / sst2 / seed 0 / ga")
    assert lines[1:] == ["[1]   trial 1", "[1]   FAILED: it diverged"]


def test_lost_process_is_replaced_and_its_cell_run_again() -> None:
    workers = FakeWorkers(1, {"a": [[Happened("cell_started", ("a", 1.0)), Lost("killed by SIGKILL")]]})
    outcome, shown = run(workers, FakeCell("a", HERE))
    assert outcome == Outcome(done=1)
    assert [order.key for _, order in workers.given] == ["a", "a"]
    assert workers.restarted == [0]
    assert "[1] process ended unexpectedly (killed by SIGKILL)" in shown


def test_only_the_cell_that_kills_every_process_fails() -> None:
    workers = FakeWorkers(1, {"a": [[Lost("killed by SIGKILL")]] * (RETRIES + 1)})
    outcome, _ = run(workers, FakeCell("a", HERE), FakeCell("b", HERE))
    assert outcome == Outcome(done=1, failed={"a": "its process ended unexpectedly each time: killed by SIGKILL"})


def test_user_error_in_a_process_ends_the_run() -> None:
    workers = FakeWorkers(1, {"a": [[Stopped(UserError("the disk is full."))]]})
    with pytest.raises(UserError, match="the disk is full"):
        run(workers, FakeCell("a", HERE), FakeCell("b", HERE))


def test_processes_that_cannot_start_end_the_run() -> None:
    workers = FakeWorkers(2, {}, starts=False)
    with pytest.raises(WorkerError, match="exit code 1"):
        run(workers, FakeCell("a", HERE))
    assert not workers.given
