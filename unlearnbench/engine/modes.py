"""Modes of a network, each for one block: evaluation, and training with exactly the gradients that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from torch import nn

# Whether the weight of this name is trained.
Trains = Callable[[str], bool]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; afterwards each module is in the mode in which it was before."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def training(network: nn.Module, trains: Trains | None, checkpointing: bool) -> Iterator[None]:
    """Gradients and modes for a training; afterwards no weight requires or has a gradient, in evaluation mode.

    Args:
        trains: which weights require gradients; None if all are frozen, and then nothing is dropped out either.
        checkpointing: whether layers are checkpointed, which they are in training mode only.
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trains is not None and trains(name))
    network.train(checkpointing or trains is not None)
    try:
        with nullcontext() if trains is not None else _without_dropout(network):
            yield
    finally:
        network.zero_grad(set_to_none=True)
        network.requires_grad_(False).eval()


@contextmanager
def _without_dropout(network: nn.Module) -> Iterator[None]:
    """Disables dropout of activations and of layers within the block, even in training mode."""
    rates = [
        (module, name, value)
        for module in network.modules()
        for name, value in vars(module).items()
        if isinstance(value, float) and ("drop" in name or (name == "p" and isinstance(module, nn.Dropout)))
    ]
    for module, name, _ in rates:
        setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, value in rates:
            setattr(module, name, value)
