"""Leaves out of a forward pass what no prediction depends on: logits, and the last layer, at all other places."""

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
    """Within the block the LM head sees only the hidden states at the given places.

    A hook on the head keeps whatever an architecture does behind it (scaling, soft-capping).

    Args:
        trim: whether the last layer's feed-forward block may leave out all other places, too.
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
    """Within the block the outputs of a transformer layer are collected, ``[batch, length, hidden]`` for each run.

    What transformers calls the last hidden state is behind the final norm; this is in front of it, as with the
    other layers.

    Args:
        layer: 1 for the first; None for none.
    """
    found: list[Tensor] = []
    if layer is None:
        yield found
        return

    def keep(_: torch.nn.Module, __: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]) -> None:
        found.append(output if isinstance(output, Tensor) else output[0])

    handle = _layers(network)[layer - 1].register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def _layers(network: PreTrainedModel) -> torch.nn.ModuleList:
    """The transformer layers: the outermost list that has as many entries as the model has layers."""
    count = network.config.get_text_config().num_hidden_layers
    lists = (module for module in network.modules() if isinstance(module, torch.nn.ModuleList))
    return next(entries for entries in lists if len(entries) == count)


def _last_feed_forward(network: PreTrainedModel) -> torch.nn.Module | None:
    """The last layer's feed-forward block, where it may run at some places of a packed sequence only.

    Not for padded rows, and not under gradient checkpointing, which runs layers again when the hooks are gone.
    """
    layers = [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers or not packs(network) or (layers[-1].gradient_checkpointing and layers[-1].training):
        return None
    block = getattr(layers[-1], "mlp", None)
    return block if isinstance(block, torch.nn.Module) else None


def _only_at(block: torch.nn.Module, positions: Tensor) -> list[RemovableHandle]:
    """Runs a block ``[1, tokens, hidden]`` at some tokens; its output is zero at all others."""
    tokens: list[int] = []

    def before(_: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        tokens.append(arguments[0].shape[1])
        return (arguments[0].index_select(1, positions.to(arguments[0].device)), *arguments[1:])

    def after(_: torch.nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        whole = output.new_zeros(1, tokens.pop(), output.shape[-1])
        return whole.index_copy(1, positions.to(output.device), output)

    return [block.register_forward_pre_hook(before), block.register_forward_hook(after)]
