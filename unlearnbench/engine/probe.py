"""Finds out what a network can do by running it on a few tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.forward import Inputs, answer_logits, collate, shared_prompt
from unlearnbench.engine.packing import packs, replace_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Errors that architectures raise if they can't do something.
REFUSALS = (AttributeError, KeyError, TypeError, ValueError, RuntimeError)


@torch.no_grad()
def runs(network: PreTrainedModel) -> bool:
    """Whether the network runs at all; some read weights in a way that 4-bit ones do not support."""
    try:
        answer_logits(network, _inputs(network.get_input_embeddings().weight.device))
    except REFUSALS:
        return False
    return True


@torch.no_grad()
def can_share_prefix(network: PreTrainedModel, prompt: Tensor) -> bool:
    """Whether a prompt that all rows share gives the same predictions as one that each row repeats.

    True for causal attention with a key-value cache (LLaMA, OPT, GPT-2, ...); false for models that keep another kind
    of state.
    """
    inputs = _inputs(prompt.device)
    try:
        shared = answer_logits(network, inputs, shared_prompt(network, prompt))
    except REFUSALS:
        return False
    return _same(shared, answer_logits(network, inputs, prompt))


@torch.no_grad()
def enable_packing(network: PreTrainedModel) -> bool:
    """Makes the network run packed sequences if its predictions for them are those for padded rows.

    True for causal attention over whole rows that transformers allows to replace (LLaMA, OPT, GPT-2, ...); false for
    sliding windows, ALiBi and models that keep another kind of state, which then run padded rows.
    """
    before = network.config._attn_implementation
    if before != "sdpa" or has_windows(network):
        return False
    inputs = _inputs(network.get_input_embeddings().weight.device)
    padded = answer_logits(network, inputs)
    try:
        replace_attention(network)
        packed = answer_logits(network, inputs)
    except REFUSALS:
        packed = torch.full_like(padded, torch.nan)
    if not _same(packed, padded):
        network.set_attn_implementation(before)
    # Some architectures (Falcon) silently go back to their own attention.
    return packs(network)


def has_windows(network: PreTrainedModel) -> bool:
    """Whether some layer does not attend to the whole row; a test on short rows would not show that."""
    config = network.config
    kinds = getattr(config, "layer_types", None)
    # Some configurations set the width of a window although none of their layers uses one.
    return set(kinds) != {"full_attention"} if kinds else getattr(config, "sliding_window", None) is not None


def _inputs(device: torch.device) -> Inputs:
    rows = [Encoded(tuple(range(5, 5 + length)), length - 1) for length in (4, 7, 4)]
    return collate(rows, pad=0, device=device)


def _same(logits: Tensor, expected: Tensor) -> bool:
    tolerance = 1e-3 if expected.dtype == torch.float32 else 0.1
    return bool((logits.float() - expected.float()).abs().max() <= tolerance * expected.float().abs().max())
