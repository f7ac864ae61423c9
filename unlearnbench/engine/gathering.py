"""Computes logits and the last feed-forward block only at positions that predict an answer token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers.modeling_layers import GradientCheckpointingLayer

from unlearnbench.engine.packing import packs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def gathering(network: PreTrainedModel, rows: Tensor, positions: Tensor, trim: bool) -> Iterator[None]:
    """Passes only the hidden states at these positions to the LM head within the block.

    It is a hook on the head, so whatever an architecture does after it (scaling, soft-capping) still happens.

    Args:
        trim: whether the last layer's feed-forward block may skip all other positions, too.
    """

    def gather(_: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = arguments[0]
        return (hidden[rows.to(hidden.device), positions.to(hidden.device)], *arguments[1:])

    handles = [network.get_output_embeddings().register_forward_pre_hook(gather)]
    last = _last_feed_forward(network) if trim else None
    if last is not None:
        handles += _only_at(last, positions)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def outputs_of(network: PreTrainedModel, layer: int | None) -> Iterator[list[Tensor]]:
    """Collects the outputs of a transformer layer within the block, one ``[batch, length, hidden]`` per forward pass.

    The last layer's output, like the others', is taken before the final norm; what transformers calls the last hidden
    state comes after it.

    Args:
        layer: 1 for the first layer; None to collect nothing.
    """
    outputs: list[Tensor] = []
    if layer is None:
        yield outputs
        return

    def keep(_: torch.nn.Module, __: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        outputs.append(output if isinstance(output, Tensor) else output[0])

    handle = _layers(network)[layer - 1].register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def _layers(network: PreTrainedModel) -> torch.nn.ModuleList:
    """The transformer layers: the outermost list that has as many entries as the model has layers."""
    count = network.config.get_text_config().num_hidden_layers
    lists = (module for module in network.modules() if isinstance(module, torch.nn.ModuleList))
    return next(entries for entries in lists if len(entries) == count)


def _last_feed_forward(network: PreTrainedModel) -> torch.nn.Module | None:
    """The last layer's feed-forward block if it may run at some positions of a packed sequence only, else None.

    None for padded rows, and under gradient checkpointing, which runs layers again after the hooks are removed.
    """
    layers = [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers or not packs(network) or (layers[-1].gradient_checkpointing and layers[-1].training):
        return None
    block = getattr(layers[-1], "mlp", None)
    return block if isinstance(block, torch.nn.Module) else None


def _only_at(block: torch.nn.Module, positions: Tensor) -> list[RemovableHandle]:
    """Runs a block ``[1, tokens, hidden]`` at these positions only; its output is zero at all others."""
    tokens: list[int] = []

    def before(_: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        tokens.append(arguments[0].shape[1])
        return (arguments[0].index_select(1, positions.to(arguments[0].device)), *arguments[1:])

    def after(_: torch.nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        whole = output.new_zeros(1, tokens.pop(), output.shape[-1])
        return whole.index_copy(1, positions.to(output.device), output)

    return [block.register_forward_pre_hook(before), block.register_forward_hook(after)]
