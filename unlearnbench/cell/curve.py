"""What a model answers at a few points of a training, measured without changing it.

Forgetting curves are accuracies on training examples. Tested points are right and wrong on test examples: tables read
from them what a method has forgotten where it keeps a given share, and nothing is decided by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel

# A row that is measured takes at most half of the time of one that is trained on, which runs forwards and backwards.
TIME_SHARE, ROW_COST = 0.1, 0.5
FEWEST_ROWS, MOST_ROWS = 16, 64
# Test examples of each set at a tested point, at most; half of them choose a point, the others show it.
MOST_TESTED = 100

Measured = TypeVar("Measured")


@dataclass(frozen=True)
class CurvePoint:
    """Accuracies on training examples after so many steps."""

    step: int
    forget_accuracy: float
    retain_accuracy: float


@dataclass(frozen=True)
class AnsweredPoint:
    """Which test examples are answered right after so many steps: 1 or 0 for each, as text."""

    step: int
    forget: str
    retain: str


def sizes(points: int, trained_rows: int) -> tuple[int, int]:
    """How many points a training can afford, and how many rows of each set at each of them.

    Args:
        points: as many as are wanted.
        trained_rows: rows that the training goes through, over all epochs.
    """
    affordable = int(TIME_SHARE / ROW_COST * trained_rows / 2)
    for count in range(points, 0, -1):
        if affordable // count >= FEWEST_ROWS:
            return count, min(MOST_ROWS, affordable // count)
    return 0, 0


def affordable_points(points: int, trained_rows: int, tested_rows: int) -> int:
    """How many tested points a training can afford, besides that of its end.

    Args:
        points: as many as are wanted.
        trained_rows: rows that the training goes through, over all epochs.
        tested_rows: rows of both sets at one point.
    """
    return min(points, int(TIME_SHARE / ROW_COST * trained_rows / max(1, tested_rows)))


def due_steps(points: int, steps: int) -> frozenset[int]:
    """Steps that divide a training evenly, without its end."""
    return frozenset(round(steps * number / (points + 1)) for number in range(1, points + 1)) - {0, steps}


class Recorder(Generic[Measured]):
    """Measures after the steps that are due, and keeps what it finds with the training's snapshots.

    Attributes:
        name: of what is measured, in `notes`.
        measure: what is wanted of the model and one set of rows, as plain data.
        samples: forget and retain rows.
        due: steps.
        notes: what is kept; a training that is resumed finds in it what was measured before its snapshot.
    """

    def __init__(
        self,
        name: str,
        measure: Callable[[LanguageModel, Sequence[Encoded]], Measured],
        samples: Sequence[Sequence[Encoded]],
        due: frozenset[int],
        notes: dict[str, Any],
    ) -> None:
        self.name, self.measure, self.samples, self.due, self.notes = name, measure, samples, due, notes

    def after(self, step: int, model: Callable[[], LanguageModel]) -> bool:
        """Measures if this step is due, and says if it was; `model` gives the model as it is now."""
        if step not in self.due:
            return False
        start = time.perf_counter()
        current = model()
        with _undisturbed(current.network):
            found = [self.measure(current, rows) for rows in self.samples]
        self.notes.setdefault(self.name, []).append([step, *found])
        self.notes[f"{self.name} seconds"] = self.seconds + time.perf_counter() - start
        return True

    @property
    def points(self) -> list[tuple[int, Measured, Measured]]:
        """Steps, and what was measured then on forget and retain rows."""
        return [(step, forget, retain) for step, forget, retain in self.notes.get(self.name, ())]

    @property
    def seconds(self) -> float:
        """Time that measuring has taken."""
        return float(self.notes.get(f"{self.name} seconds", 0.0))


def _undisturbed(network: nn.Module) -> AbstractContextManager[None]:
    """Leaves random numbers as they were."""
    devices = [parameter.device.index for parameter in network.parameters() if parameter.device.type == "cuda"]
    return torch.random.fork_rng(devices=sorted(set(devices)))


def right_or_wrong(model: LanguageModel, rows: Sequence[Encoded]) -> str:
    """For each row 1 if every token of the answer is the most probable one, else 0."""
    flags = ["1"] * len(rows)
    for indices, inputs, logits in model.predict(rows):
        for row in inputs.rows[logits.argmax(-1) != inputs.answers].tolist():
            flags[indices[row]] = "0"
    return "".join(flags)


def share_right(model: LanguageModel, rows: Sequence[Encoded]) -> float:
    """The share of rows of whose answer every token is the most probable one."""
    return right_or_wrong(model, rows).count("1") / len(rows)
