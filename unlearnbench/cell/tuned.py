"""What the tuning of a cell has found: for itself, or for the cells of other seeds, which read it from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearnbench.cell.design import Space
from unlearnbench.cell.tuning import Trial
from unlearnbench.contract.hyperparameters import Side
from unlearnbench.tracking.store import EDGE

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Tuned:
    """The best values, and how they were found.

    Attributes:
        trials: how many there were.
        pruned: how many of them diverged or collapsed.
        edges: the end of its range, for each value that lies there.
    """

    values: dict[str, Any]
    trials: int
    pruned: int
    edges: Mapping[str, Side]

    @classmethod
    def of(cls, trials: Sequence[Trial], best: Trial, space: Space) -> Tuned:
        """What these trials have found; a single one has searched no range."""
        sides = {name: parameter.side(best.values[name]) for name, parameter in space.items()}
        edges = {name: side for name, side in sides.items() if side is not None and len(trials) > 1}
        pruned = sum(trial.result.collapsed or trial.result.failure is not None for trial in trials)
        return cls(best.values, len(trials), pruned, edges)

    @classmethod
    def recorded(cls, run: Run, space: Space) -> Tuned:
        """What a finished cell says that its tuning has found."""
        tags, metrics = run.data.tags, run.data.metrics
        return cls(
            {name: parameter.read(run.data.params[name]) for name, parameter in space.items()},
            int(metrics["trials"]),
            int(metrics["pruned_trials"]),
            {name: tags[EDGE + name] for name in space if EDGE + name in tags},
        )

    @property
    def tags(self) -> dict[str, str]:
        """What a record says of it beside numbers and values."""
        return {EDGE + name: side for name, side in self.edges.items()}
