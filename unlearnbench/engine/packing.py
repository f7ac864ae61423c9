"""Runs rows of different lengths in one forward pass without padding all of them to the longest.

The rows are concatenated into a single sequence; only attention treats them row by row. To make that fast, the sequence
consists of rectangles: rows of nearly the same length, padded to the longest row of their rectangle. There is no other
padding.
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
# The longest row of a rectangle has at most this many times the length of its shortest. A smaller value means less
# padding, but more attention calls in every layer. On a GPU each call launches kernels; the value for it is an
# estimate, which was never measured.
CPU_SPREAD, GPU_SPREAD = 1.05, 1.5


def rectangles(lengths: Sequence[int], spread: float) -> list[list[int]]:
    """Groups rows so that the longest of a group has at most `spread` times the shortest's length; shortest first."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if groups and lengths[row] <= spread * lengths[groups[-1][0]]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


@dataclass(frozen=True)
class Packing:
    """Maps the tokens of padded rows ``[batch, width]`` to a packed sequence ``[1, shared + tokens]``.

    Attributes:
        shapes: number of rows and their length, for each rectangle.
        source: ``[tokens]`` index of each token in the flattened padded rows.
        positions: ``[1, shared + tokens]`` position ids: 0, 1, ... for the shared tokens; every row continues them.
        starts: ``[batch]`` index of each row's first token in the sequence.
        shared: number of tokens at the beginning of the sequence that precede every row.
        masks: what the tokens of each rectangle's rows attend to, ``[1, 1, length, shared + length]``; None if that is
            every earlier token of the row.
    """

    shapes: tuple[tuple[int, int], ...]
    source: Tensor
    positions: Tensor
    starts: Tensor
    shared: int
    masks: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, lengths: Sequence[int], width: int, device: torch.device, shared: int = 0) -> Packing:
        """The packing of rows of these lengths, which are padded on the right to `width`."""
        shapes, pieces, starts, offset = [], [], [0] * len(lengths), shared
        for rows in rectangles(lengths, CPU_SPREAD if device.type == "cpu" else GPU_SPREAD):
            longest = lengths[rows[-1]]
            shapes.append((len(rows), longest))
            pieces.append((torch.tensor(rows)[:, None] * width + torch.arange(longest)).flatten())
            for row in rows:
                starts[row] = offset
                offset += longest
        source = torch.cat(pieces)
        positions = torch.cat([torch.arange(shared), shared + source % width]).to(device)
        masks = tuple(_causal_mask(longest, shared, device) if shared else None for _, longest in shapes)
        return cls(
            tuple(shapes), source.to(device), positions[None], torch.tensor(starts, device=device), shared, masks
        )

    def arguments(self) -> dict[str, Any]:
        """Arguments with which a transformers model runs the sequence."""
        return {
            "position_ids": self.positions,
            # transformers passes a four-dimensional mask on instead of building one; `attend` needs none.
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
    """Causal attention within each row of a packed sequence, and to the leading tokens that all rows share.

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
    # Autocast would cast the inputs back to the precision of matrix products.
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
    shared_queries, *queries = torch.split_with_sizes(query[0], [packing.shared, *sizes], dim=1)
    shared_keys, *keys = torch.split_with_sizes(key[0], [packing.shared, *sizes], dim=1)
    shared_values, *values = torch.split_with_sizes(value[0], [packing.shared, *sizes], dim=1)
    outputs = []
    if packing.shared:
        shared = shared_queries[None], shared_keys[None], shared_values[None]
        outputs.append(sdpa_attention_forward(module, *shared, None, **options)[0][0])
    for shape, own_mask, own_queries, own_keys, own_values in zip(
        packing.shapes, packing.masks, queries, keys, values, strict=True
    ):
        output, _ = sdpa_attention_forward(
            module,
            _rows(own_queries, shape),
            _with_shared(shared_keys, _rows(own_keys, shape)),
            _with_shared(shared_values, _rows(own_values, shape)),
            # A layer may be on another device than the rows.
            own_mask if own_mask is None else own_mask.to(query.device),
            **options,
        )
        outputs.append(output.flatten(0, 1))
    return torch.cat(outputs)[None]


def _rows(packed: Tensor, shape: tuple[int, int]) -> Tensor:
    """``[heads, rows * length, size]`` as ``[rows, heads, length, size]``."""
    return packed.reshape(len(packed), *shape, -1).transpose(0, 1)


def _with_shared(shared: Tensor, rows: Tensor) -> Tensor:
    """The rows, each preceded by what they share, ``[heads, shared, size]``."""
    return torch.cat([shared.expand(len(rows), -1, -1, -1), rows], dim=2) if shared.shape[1] else rows


def _causal_mask(length: int, shared: int, device: torch.device) -> Tensor:
    """``[1, 1, length, shared + length]``: each token attends to the shared ones, to earlier ones, and to itself."""
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
