"""Forgetting curves: forget and retain accuracy at a few points of a training, measured without changing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.training import Progress

# A row that is measured takes at most half of the time of one that is trained on, which runs forwards and backwards.
TIME_SHARE, ROW_COST = 0.1, 0.5
FEWEST_ROWS, MOST_ROWS = 16, 64


@dataclass(frozen=True)
class CurvePoint:
    """Accuracies on training examples after so many steps."""

    step: int
    forget_accuracy: float
    retain_accuracy: float


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


def due_steps(points: int, steps: int) -> frozenset[int]:
    """Steps that divide a training evenly, without its end."""
    return frozenset(round(steps * number / (points + 1)) for number in range(1, points + 1)) - {0, steps}


class CurveRecorder:
    """Measures after the steps that are due, and keeps the points with the training's snapshots.

    Attributes:
        model: gives the model as it is now.
        samples: forget and retain rows.
        notes: what is kept; a training that is resumed finds in it what was measured before its snapshot.
    """

    def __init__(
        self,
        model: Callable[[], LanguageModel],
        samples: Sequence[Sequence[Encoded]],
        due: frozenset[int],
        notes: dict[str, Any],
    ) -> None:
        self.model, self.samples, self.due, self.notes = model, samples, due, notes

    def after(self, progress: Progress) -> None:
        """Measures if this step is due."""
        if progress.step not in self.due:
            return
        start = time.perf_counter()
        model = self.model()
        with _undisturbed(model.network):
            accuracies = [share_right(model, rows) for rows in self.samples]
        self.notes.setdefault("curve", []).append([progress.step, *accuracies])
        self.notes["curve seconds"] = self.seconds + time.perf_counter() - start

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """What was measured so far."""
        return tuple(CurvePoint(*point) for point in self.notes.get("curve", ()))

    @property
    def seconds(self) -> float:
        """Time that measuring has taken."""
        return float(self.notes.get("curve seconds", 0.0))


def _undisturbed(network: nn.Module) -> AbstractContextManager[None]:
    """Leaves random numbers as they were."""
    devices = [parameter.device.index for parameter in network.parameters() if parameter.device.type == "cuda"]
    return torch.random.fork_rng(devices=sorted(set(devices)))


def share_right(model: LanguageModel, rows: Sequence[Encoded]) -> float:
    """The share of rows of whose answer every token is the most probable one."""
    right = 0
    for indices, inputs, logits in model.predict(rows):
        missed = inputs.rows[logits.argmax(-1) != inputs.answers]
        right += len(indices) - len(set(missed.tolist()))
    return right / len(rows)
