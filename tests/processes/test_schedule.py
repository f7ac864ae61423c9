"""Which process does what next, without any processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from unlearnbench.grid.runner import Outcome
from unlearnbench.processes.schedule import RETRIES, Schedule


@dataclass(frozen=True)
class FakeChoice:
    space: dict[str, Any] = field(default_factory=lambda: {"learning_rate": None})


@dataclass(frozen=True)
class FakeCell:
    """A cell of a scenario; `key` also names its row."""

    key: str
    scenario: object
    row: str = "ga"
    choice: FakeChoice | None = field(default_factory=FakeChoice)
    leader: Any = None

    @property
    def name(self) -> str:
        return f"cell {self.key}"


@dataclass(frozen=True, eq=False)
class FakeScenario:
    """Equal to itself alone, as scenarios are."""

    forget_target: str = "zero"


HERE, THERE = FakeScenario(), FakeScenario()


def base(key: str, scenario: object) -> FakeCell:
    return FakeCell(key, scenario, "base", None)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def schedule(
    *cells: FakeCell, seconds: Mapping[str, float] | None = None, trials: int = 2, helps: bool = True
) -> tuple[Any, Clock]:
    clock = Clock()
    estimates = seconds or {cell.key: 1.0 for cell in cells}
    some: Any = cells
    return Schedule(some, estimates, trials, helps, clock), clock


def key(order: Any) -> tuple[str, bool] | None:
    """An order as the cell's key and whether a trial of another process is trained."""
    return None if order is None else (order.key, order.helps)


def test_cells_wait_for_their_base_model_and_the_longest_come_first() -> None:
    cells = [base("base", HERE), FakeCell("short", HERE), FakeCell("long", HERE), FakeCell("vanilla", HERE, "vanilla")]
    plan, _ = schedule(*cells, seconds={"base": 1, "short": 2, "long": 5, "vanilla": 1}, helps=False)
    assert key(plan.next(0)) == ("base", False)
    assert key(plan.next(1)) == ("vanilla", False)
    assert plan.next(2) is None
    plan.cell_done(0, Outcome(done=1))
    assert key(plan.next(2)) == ("long", False)
    assert key(plan.next(0)) == ("short", False)
    for worker in (0, 1, 2):
        assert not plan.is_over
        plan.cell_done(worker, Outcome(done=1))
    assert plan.is_over
    assert plan.outcome == Outcome(done=4)


@pytest.mark.parametrize(("target", "waits"), [("oracle", True), ("zero", False)])
def test_methods_wait_for_the_retrained_model_if_it_judges_them(target: str, waits: bool) -> None:
    here = FakeScenario(target)
    cells = FakeCell("retrain", here, "retrain"), FakeCell("ga", here)
    plan, _ = schedule(*cells, seconds={"retrain": 5, "ga": 1}, helps=False)
    assert key(plan.next(0)) == ("retrain", False)
    assert (plan.next(1) is None) is waits


def test_cells_with_an_existing_base_model_start_at_once() -> None:
    plan, _ = schedule(FakeCell("a", HERE), base("base", THERE), seconds={"a": 1})
    assert key(plan.next(0)) == ("a", False)


def test_process_keeps_its_model_and_idle_ones_start_another_setting() -> None:
    plan, _ = schedule(base("base", HERE), FakeCell("a", HERE), base("other base", THERE), FakeCell("b", THERE))
    assert key(plan.next(0)) == ("base", False)
    plan.cell_done(0, Outcome(done=1))
    assert key(plan.next(0)) == ("a", False)
    assert key(plan.next(1)) == ("other base", False)
    plan.cell_done(1, Outcome(done=1))
    assert key(plan.next(1)) == ("b", False)


def test_idle_processes_help_all_cells_evenly() -> None:
    plan, _ = schedule(FakeCell("a", HERE), FakeCell("b", HERE), trials=4)
    got = [key(plan.next(worker)) for worker in range(7)]
    assert got == [("a", False), ("b", False), *[("a", True), ("b", True)] * 2, ("a", True)]


def test_cells_get_no_more_helpers_than_trials_and_none_without_tuning() -> None:
    cells = [
        FakeCell("a", HERE),
        FakeCell("fixed", HERE, choice=FakeChoice({})),
        FakeCell("vanilla", HERE, "vanilla", None),
    ]
    plan, _ = schedule(*cells, trials=3)
    got = [key(plan.next(worker)) for worker in range(6)]
    assert got == [("a", False), ("fixed", False), ("vanilla", False), ("a", True), ("a", True), None]
    alone, _ = schedule(FakeCell("a", HERE), trials=0)
    assert [key(alone.next(worker)) for worker in range(2)] == [("a", False), None]
    forced, _ = schedule(FakeCell("a", HERE), trials=3, helps=False)
    assert [key(forced.next(worker)) for worker in range(2)] == [("a", False), None]


def test_cell_without_trials_left_gets_no_more_helpers() -> None:
    plan, _ = schedule(FakeCell("a", HERE), trials=4)
    plan.next(0)
    assert key(plan.next(1)) == ("a", True)
    plan.help_done(1, found=True)
    assert key(plan.next(1)) == ("a", True)
    plan.help_done(1, found=False)
    assert plan.next(1) is None


def test_cell_claimed_by_another_run_is_retried_later_and_helped_meanwhile() -> None:
    plan, clock = schedule(FakeCell("a", HERE), FakeCell("b", HERE), trials=4)
    assert key(plan.next(0)) == ("a", False)
    plan.cell_done(0, None)
    assert key(plan.next(0)) == ("b", False)
    assert key(plan.next(1)) == ("b", True)
    assert key(plan.next(2)) == ("a", True)
    clock.now += 10.0
    assert key(plan.next(3)) == ("a", False)
    plan.cell_done(3, Outcome(elsewhere=1))
    plan.cell_done(0, Outcome(done=1))
    assert plan.is_over
    assert plan.outcome == Outcome(done=1, elsewhere=1)


def test_cell_that_uses_values_of_another_waits_for_it_and_has_no_helpers() -> None:
    leader = FakeCell("leader", HERE)
    plan, _ = schedule(leader, FakeCell("follower", THERE, leader=leader), trials=3)
    assert key(plan.next(0)) == ("leader", False)
    assert key(plan.next(1)) == ("leader", True)
    plan.help_done(1, found=False)
    assert plan.next(1) is None
    plan.cell_done(0, Outcome(failed={"cell leader": "it diverged"}))
    order = plan.next(0)
    assert key(order) == ("follower", False)
    assert order is not None
    assert order.failed == {"cell leader": "it diverged"}
    assert plan.next(1) is None


def test_a_lost_process_costs_its_cell_a_retry_until_it_is_given_up() -> None:
    plan, _ = schedule(FakeCell("a", HERE), FakeCell("b", HERE), trials=0)
    for _ in range(RETRIES):
        assert key(plan.next(0)) == ("a", False)
        assert plan.lost(0) is None
    assert key(plan.next(0)) == ("a", False)
    assert plan.lost(0).key == "a"
    assert key(plan.next(0)) == ("b", False)
    plan.cell_done(0, Outcome(done=1))
    assert plan.is_over


def test_lost_helper_does_not_count_as_a_retry() -> None:
    plan, _ = schedule(FakeCell("a", HERE), trials=4)
    plan.next(0)
    for worker in range(1, 1 + 2 * RETRIES):
        plan.next(worker)
        assert plan.lost(worker) is None
    plan.cell_done(0, Outcome(done=1))
    assert plan.is_over
    assert plan.lost(7) is None, "it had nothing to do"
