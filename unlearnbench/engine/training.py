"""The training loop, for base models and for every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unlearnbench.engine.batching import shuffled_batches
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.optimiser import OptimiserName, make_optimiser


class DivergedError(Exception):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Optimisation:
    """Settings of AdamW with linear warm-up and cosine decay to zero."""

    learning_rate: float
    epochs: int
    batch_size: int
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    optimiser: OptimiserName = "adamw"


@dataclass(frozen=True)
class Progress:
    """How far a training run has got."""

    step: int
    steps: int
    epoch: int
    loss: float


OnStep = Callable[[Progress], None]


class Step(Protocol):
    """Computes gradients of the loss over some items of the training set."""

    def __call__(self, items: list[int], /) -> float:
        """Adds the gradients of one optimisation step to ``.grad`` and returns the loss."""


@dataclass(frozen=True)
class TrainingReport:
    """Summary of a training run."""

    steps: int
    first_loss: float
    last_loss: float


def train(
    parameters: Iterable[Tensor],
    items: int,
    step: Step,
    settings: Optimisation,
    seed: int,
    on_step: OnStep,
    checkpoints: Checkpoints | None = None,
) -> TrainingReport:
    """Minimises the loss that `step` differentiates over `items` training items.

    Args:
        checkpoints: saves snapshots; if a killed run has left one, training resumes from it and reaches the same
            result.

    Raises:
        DivergedError: a loss or gradient was not finite.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    batches = math.ceil(items / settings.batch_size)
    total = settings.epochs * batches
    optimiser = make_optimiser(trained, settings.optimiser, settings.learning_rate, settings.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout
    losses = checkpoints.load(trained, optimiser) if checkpoints else []
    done = len(losses)
    for group in optimiser.param_groups:
        group["initial_lr"] = settings.learning_rate
    factor = _warmup_then_cosine(settings.warmup_ratio, total)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor, last_epoch=done - 1)
    for epoch in range(settings.epochs):
        for number, batch in enumerate(shuffled_batches(items, settings.batch_size, generator)):
            if epoch * batches + number < done:
                continue
            optimiser.zero_grad(set_to_none=True)
            losses.append(step(batch))
            norm = torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            if not (math.isfinite(losses[-1]) and torch.isfinite(norm)):
                raise DivergedError(f"loss {losses[-1]} at step {len(losses)} of {total}")
            optimiser.step()
            schedule.step()
            on_step(Progress(len(losses), total, epoch, losses[-1]))
            if checkpoints and checkpoints.due and len(losses) < total:
                checkpoints.save(losses, trained, optimiser)
    return TrainingReport(len(losses), losses[0], losses[-1])


def _warmup_then_cosine(warmup_ratio: float, steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at each step: linear from 0 to 1, then half a cosine down to 0."""
    warmup = math.ceil(warmup_ratio * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


def trainable_count(parameters: Iterable[Tensor]) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
