"""Decides what is computed in which precision, by device and data type; nothing else does.

The values for a CPU were measured; the table is in docs/engine.md. Those for a GPU were not measured: there, autocast
and the kernels' own precision are left unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Precision:
    """The precision of a network on a device.

    Attributes:
        device: type of the device, "cpu" or "cuda".
        weights: precision in which weights are stored.
        compute: precision of matrix products.
    """

    device: str
    weights: torch.dtype
    compute: torch.dtype

    @property
    def is_mixed(self) -> bool:
        """Whether matrix products have lower precision than the weights."""
        return self.compute != torch.float32 and self.weights == torch.float32

    @property
    def casts_weights_once(self) -> bool:
        """Whether weights are cast once (trained ones: once per step); autocast casts them again in every pass."""
        return self.is_mixed and self.device == "cpu"

    @property
    def tokens_per_pass(self) -> int:
        """Number of tokens in one forward pass, if the configuration does not set it.

        On a CPU, activations then stay small compared with the weights, and matrix products run near their best rate.
        Activations in bfloat16 take half the memory, and its matrix products are so much faster that the fixed cost of
        a pass (gradients of all weights) weighs more: both allow for longer passes.
        """
        if self.device == "cuda":
            return 32768
        return 768 if self.compute == torch.float32 else 1536

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which forward passes run."""
        return torch.autocast(self.device, self.compute, enabled=self.is_mixed)


def attention_dtype(device: str) -> torch.dtype | None:
    """The precision of attention; None if its inputs and autocast decide.

    On a CPU always float32: the backward pass of flash attention takes five times as long in bfloat16.
    """
    return torch.float32 if device == "cpu" else None


class CastWeights:
    """The weights of a network's linear layers in the precision of matrix products.

    Frozen weights are cast once, on construction. Weights that require gradients are cast once per step, and their
    gradients flow back to the weights themselves. All others (embeddings, norms) keep their precision, as under
    autocast.

    Args:
        trains: whether the steps compute gradients of weights; if not, all weights are cast once.
    """

    def __init__(self, network: PreTrainedModel, precision: Precision, trains: bool) -> None:
        self._dtype = precision.compute
        self._places: list[tuple[nn.Module, str, nn.Parameter]] = []
        if precision.casts_weights_once:
            self._places = [
                (module, name, parameter)
                for module in network.modules()
                if isinstance(module, (nn.Linear, Conv1D))
                for name, parameter in module.named_parameters(recurse=False)
                if parameter.dtype == precision.weights
            ]
        frozen = {parameter for _, _, parameter in self._places if not (trains and parameter.requires_grad)}
        self._frozen = {parameter: parameter.detach().to(self._dtype) for parameter in frozen}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Makes the network compute with the cast weights; every pass of a step runs in the block."""
        cast: dict[nn.Parameter, Tensor] = dict(self._frozen)
        try:
            for module, name, parameter in self._places:
                if parameter not in cast:
                    cast[parameter] = parameter.to(self._dtype)
                module._parameters[name] = cast[parameter]  # type: ignore[assignment]
            yield
        finally:
            for module, name, parameter in self._places:
                module._parameters[name] = parameter
