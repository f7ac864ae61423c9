"""Rows of different length in one forward pass without padding them all to the longest.

The rows stand one after the other as a single sequence; attention alone looks at them row by row. For that the
sequence is made of rectangles: rows of nearly the same length, padded to the longest of their rectangle, which is all
the padding there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unlearnbench.engine.precision import attention_dtype

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "unlearnbench-packed"
# The longest row of a rectangle has at most this much of its shortest: less padding, but more calls of attention in
# every layer. On a GPU each call takes the launch of kernels; its value is an estimate, never measured.
CPU_SPREAD, GPU_SPREAD = 1.05, 1.5


def rectangles(lengths: Sequence[int], spread: float) -> list[list[int]]:
    """Indices of rows of which the longest has at most `spread` times the shortest's length, shortest rows first."""
    found: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if found and lengths[row] <= spread * lengths[found[-1][0]]:
            found[-1].append(row)
        else:
            found.append([row])
    return found


@dataclass(frozen=True)
class Packing:
    """Where the tokens of padded rows ``[batch, width]`` stand in a packed sequence ``[1, shared + tokens]``.

    Attributes:
        shapes: rows and length of each rectangle.
        source: ``[tokens]`` places in the flattened padded rows.
        positions: ``[1, shared + tokens]``: 0, 1, ... of the shared tokens, and of each token in its row behind them.
        starts: ``[batch]`` place of each row's first token in the sequence.
        shared: number of tokens at the beginning of the sequence that stand in front of every row.
        masks: what each token of a rectangle's rows sees, ``[1, 1, length, shared + length]``; None for all before it.
    """

    shapes: tuple[tuple[int, int], ...]
    source: Tensor
    positions: Tensor
    starts: Tensor
    shared: int
    masks: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, lengths: Sequence[int], width: int, device: torch.device, shared: int = 0) -> Packing:
        """The packing of rows with the given lengths, padded on the right to `width`."""
        shapes, pieces, starts, place = [], [], [0] * len(lengths), 0
        for rows in rectangles(lengths, CPU_SPREAD if device.type == "cpu" else GPU_SPREAD):
            longest = lengths[rows[-1]]
            shapes.append((len(rows), longest))
            pieces.append((torch.tensor(rows)[:, None] * width + torch.arange(longest)).flatten())
            for row in rows:
                starts[row] = shared + place
                place += longest
        source = torch.cat(pieces)
        positions = torch.cat([torch.arange(shared), shared + source % width]).to(device)
        masks = tuple(_causal_mask(longest, shared, device) if shared else None for _, longest in shapes)
        return cls(
            tuple(shapes), source.to(device), positions[None], torch.tensor(starts, device=device), shared, masks
        )

    def arguments(self) -> dict[str, Any]:
        """What a transformers model needs to run the sequence."""
        return {
            "position_ids": self.positions,
            # A mask of four dimensions is passed on as it is: none is built, and `attend` needs none.
            "attention_mask": self.positions.new_empty(1, 1, 1, 0),
            "packing": self,
        }


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each row of a packed sequence, and to the tokens in front that all rows share.

    Args:
        query: ``[1, heads, shared + tokens, head size]``.
        key, value: ``[1, key heads, shared + tokens, head size]``.

    Returns:
        ``[1, shared + tokens, heads, head size]``.
    """
    dtype = attention_dtype(query.device.type)
    if dtype is None:
        return _attend(module, query, key, value, attention_mask, packing, options), None
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.to(dtype)
    # Autocast would take the inputs back to the precision of matrix products.
    with torch.autocast(query.device.type, enabled=False):
        output = _attend(module, query.to(dtype), key.to(dtype), value.to(dtype), attention_mask, packing, options)
    return output.to(value.dtype), None


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    packing: Packing | None,
    options: dict[str, Any],
) -> Tensor:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if packing is None:
        whole: Tensor = sdpa_attention_forward(module, query, key, value, mask, **options)[0]
        return whole
    sizes = [rows * length for rows, length in packing.shapes]
    front_queries, *queries = torch.split_with_sizes(query[0], [packing.shared, *sizes], dim=1)
    front_keys, *keys = torch.split_with_sizes(key[0], [packing.shared, *sizes], dim=1)
    front_values, *values = torch.split_with_sizes(value[0], [packing.shared, *sizes], dim=1)
    outputs = []
    if packing.shared:
        front = front_queries[None], front_keys[None], front_values[None]
        outputs.append(sdpa_attention_forward(module, *front, None, **options)[0][0])
    for shape, own_mask, some_queries, some_keys, some_values in zip(
        packing.shapes, packing.masks, queries, keys, values, strict=True
    ):
        output, _ = sdpa_attention_forward(
            module,
            _rows(some_queries, shape),
            _behind(front_keys, _rows(some_keys, shape)),
            _behind(front_values, _rows(some_values, shape)),
            # A layer may be on another device than the rows.
            own_mask if own_mask is None else own_mask.to(query.device),
            **options,
        )
        outputs.append(output.flatten(0, 1))
    return torch.cat(outputs)[None]


def _rows(packed: Tensor, shape: tuple[int, int]) -> Tensor:
    """``[heads, rows * length, size]`` as ``[rows, heads, length, size]``."""
    return packed.reshape(len(packed), *shape, -1).transpose(0, 1)


def _behind(front: Tensor, rows: Tensor) -> Tensor:
    """The rows with the shared ``[heads, shared, size]`` in front of each."""
    return torch.cat([front.expand(len(rows), -1, -1, -1), rows], dim=2) if front.shape[1] else rows


def _causal_mask(length: int, shared: int, device: torch.device) -> Tensor:
    """``[1, 1, length, shared + length]``: each token sees what is shared, those before it, and itself."""
    seen = torch.ones(length, shared + length, dtype=torch.bool, device=device).tril(shared)
    return seen[None, None]


def replace_attention(network: PreTrainedModel) -> None:
    """Lets the network run packed sequences.

    Raises:
        ValueError: its attention can't be replaced.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    network.set_attn_implementation(NAME)


def packs(network: PreTrainedModel) -> bool:
    """Whether the network runs packed sequences."""
    return bool(network.config._attn_implementation == NAME)
