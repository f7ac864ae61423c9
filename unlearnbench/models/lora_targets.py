"""Where LoRA goes if nobody says: what the paper adapts, by the names that an architecture gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Queries and values; both and the keys in one matrix; what a state-space model's mixers read.
SEPARATE = ("q_proj", "v_proj")
FUSED = ("query_key_value", "qkv_proj", "Wqkv", "c_attn")
STATE_SPACE = ("in_proj", "x_proj")


def lora_targets(network: PreTrainedModel) -> tuple[str, ...]:
    """Names of the modules to adapt: queries and values, else what takes their place, else all matrices but the head.

    Raises:
        UserError: the network has no matrices that LoRA adapts.
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
        found = tuple(name for name in alternative if name in names)
        if found:
            return found
    if not names:
        raise UserError(f"LoRA finds no matrices to adapt in {type(network).__name__}: use --set base.kind=full.")
    return tuple(sorted(names))
