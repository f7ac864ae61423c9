"""What a cell tells of its progress."""

from __future__ import annotations

from typing import Protocol

from unlearnbench.engine.training import Progress


class Reporter(Protocol):
    """Receives the events of one process of a run."""

    def cell_started(self, name: str, seconds: float) -> None:
        """A cell begins that is estimated to take so long."""

    def cell_ended(self, message: str) -> None:
        """The cell is over."""

    def stage(self, name: str) -> None:
        """The cell, or a trial of another process's cell, enters a stage."""

    def step(self, progress: Progress) -> None:
        """An optimisation step was made."""

    def note(self, text: str) -> None:
        """Something worth knowing that is no error."""
