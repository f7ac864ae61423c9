"""Which cells get helpers, and how many; Ray itself is not needed for that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unlearnbench.ray_executor import Helpers


@dataclass(frozen=True)
class FakeChoice:
    space: dict[str, Any] = field(default_factory=lambda: {"learning_rate": None})


@dataclass(frozen=True)
class FakeCell:
    key: str
    choice: FakeChoice | None = field(default_factory=FakeChoice)
    leader: FakeCell | None = None


class Scheduler:
    """Remembers for which cells helpers were started."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def __call__(self, cell: Any) -> object:
        self.started.append(cell.key)
        return len(self.started)


def helpers(slots: int, trials: int) -> tuple[Helpers, Scheduler]:
    scheduler = Scheduler()
    return Helpers(slots, trials, scheduler), scheduler


def cells(*found: FakeCell) -> Any:
    return list(found)


def test_slots_that_no_cell_takes_are_shared_out_evenly() -> None:
    some, scheduler = helpers(slots=6, trials=4)
    some.fill(cells(FakeCell("a"), FakeCell("b")))
    assert scheduler.started == ["a", "b", "a", "b"]
    some.fill(cells(FakeCell("a"), FakeCell("b")))
    assert len(scheduler.started) == 4, "all slots are taken"


def test_cells_fill_the_slots_first() -> None:
    some, scheduler = helpers(slots=2, trials=4)
    some.fill(cells(FakeCell("a"), FakeCell("b"), FakeCell("c")))
    assert scheduler.started == []


def test_no_more_helpers_than_trials_to_share() -> None:
    some, scheduler = helpers(slots=8, trials=3)
    some.fill(cells(FakeCell("a"), FakeCell("base", None), FakeCell("fixed", FakeChoice({}))))
    assert scheduler.started == ["a", "a"]
    alone, scheduler = helpers(slots=8, trials=0)
    alone.fill(cells(FakeCell("a")))
    assert scheduler.started == []


def test_cell_whose_helper_found_nothing_gets_no_other() -> None:
    some, scheduler = helpers(slots=2, trials=4)
    some.fill(cells(FakeCell("a")))
    some.ended(1)
    some.fill(cells(FakeCell("a")))
    assert scheduler.started == ["a"]
    some.fill(cells(FakeCell("b")))
    assert scheduler.started == ["a", "b"]
