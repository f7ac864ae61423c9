"""Default LoRA targets: the modules that the paper adapts, under the names that an architecture gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Queries and values; queries, keys and values in one matrix; input projections of state-space mixers.
SEPARATE = ("q_proj", "v_proj")
FUSED = ("query_key_value", "qkv_proj", "Wqkv", "c_attn")
STATE_SPACE = ("in_proj", "x_proj")


def lora_targets(network: PreTrainedModel) -> tuple[str, ...]:
    """Names of the modules to adapt: queries and values, else their equivalents, else all matrices but the head.

    Raises:
        UserError: the network has no matrices that LoRA can adapt.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    head = network.get_output_embeddings()
    names = {
        name.rpartition(".")[2]
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    if names.issuperset(SEPARATE):
        return SEPARATE
    for alternative in (FUSED, STATE_SPACE):
        targets = tuple(name for name in alternative if name in names)
        if targets:
            return targets
    if not names:
        raise UserError(f"LoRA finds no matrices to adapt in {type(network).__name__}: use --set base.kind=full.")
    return tuple(sorted(names))
