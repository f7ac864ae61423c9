"""The best of the models that a training went through, if it is that one which counts and not the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class Best:
    """Keeps the trained parameters of the best point so far, with the training's snapshots.

    Attributes:
        objective: of forget and retain accuracy on training examples.
        notes, kept: of the training's snapshots; a training that is resumed finds in them what was best before.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        objective: Callable[[float, float], float],
        notes: dict[str, Any],
        kept: list[Tensor],
    ) -> None:
        self.parameters, self.objective, self.notes, self.kept = parameters, objective, notes, kept

    def consider(self, step: int, forget_accuracy: float, retain_accuracy: float) -> None:
        """Keeps the parameters as they are now, unless an earlier point was better."""
        reached = self.objective(forget_accuracy, retain_accuracy)
        if self.kept and reached < self.notes["best"]["objective"]:
            return
        self.notes["best"] = {"step": step, "objective": reached}
        self.kept[:] = [parameter.detach().to("cpu", copy=True) for parameter in self.parameters]

    def put_back(self) -> int:
        """Gives the parameters the values of the best point; returns its step."""
        with torch.no_grad():
            for parameter, values in zip(self.parameters, self.kept, strict=True):
                parameter.copy_(values)
        return int(self.notes["best"]["step"])
