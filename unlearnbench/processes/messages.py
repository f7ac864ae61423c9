"""Messages between a run's worker processes and the process that directs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unlearnbench.grid.runner import Outcome


@dataclass(frozen=True)
class Order:
    """Run the cell with this key, or one of its trials alone, which helps the process that runs it.

    Attributes:
        failed: reasons of cells that have failed in this run, if this cell uses the values of one of them.
    """

    key: str
    seconds: float
    helps: bool
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """The process is ready: it has imported its modules and opened the store."""


@dataclass(frozen=True)
class Happened:
    """An event for the display: the name of a `Reporter`'s method and its arguments."""

    event: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class CellDone:
    """A cell has ended, or a process of another run has claimed it (None)."""

    outcome: Outcome | None


@dataclass(frozen=True)
class HelpDone:
    """A trial was trained for another process, or no trial was left to train."""

    found: bool


@dataclass(frozen=True)
class Stopped:
    """The process raised an error that ends the run."""

    error: Exception


@dataclass(frozen=True)
class Lost:
    """The process has died, for this reason."""

    reason: str


Message = Ready | Happened | CellDone | HelpDone | Stopped | Lost
