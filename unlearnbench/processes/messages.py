"""What a run's processes and the one that directs them tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unlearnbench.grid.runner import Outcome


@dataclass(frozen=True)
class Order:
    """Run the cell with this key, or train one of its trials `ahead` of the process that runs it.

    Attributes:
        failed: reasons of cells that have failed in this run, if it takes the values of one of them.
    """

    key: str
    seconds: float
    ahead: bool
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """The process has imported and opened what it needs."""


@dataclass(frozen=True)
class Happened:
    """An event for the display: the name of a `Reporter`'s method and its arguments."""

    event: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class CellDone:
    """A cell is over, or was found claimed by a process of another run (None)."""

    outcome: Outcome | None


@dataclass(frozen=True)
class HelpDone:
    """A trial was trained ahead, or there was none left to train."""

    found: bool


@dataclass(frozen=True)
class Stopped:
    """The process met an error that ends the run."""

    error: Exception


@dataclass(frozen=True)
class Lost:
    """The process has died; the reason says how."""

    reason: str


Message = Ready | Happened | CellDone | HelpDone | Stopped | Lost
