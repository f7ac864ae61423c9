"""Forward passes that compute logits only at positions that predict an answer token.

The hidden states are gathered right before the LM head, so no ``[batch, length, vocab]`` tensor is ever built.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_layers import GradientCheckpointingLayer

from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.gathering import gathering, outputs_of
from unlearnbench.engine.modes import evaluating
from unlearnbench.engine.packing import Packing, packs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Inputs:
    """Encoded examples, padded on the right.

    Attributes:
        ids: ``[batch, length]``; the last answer token is left out, since nothing after it is predicted.
        mask: ``[batch, length]``, 1 for tokens and 0 for padding.
        lengths: number of tokens of each row.
        rows, positions: ``[tokens]`` indices into ``[batch, length]`` of the tokens that predict an answer token.
        answers: ``[tokens]`` the predicted answer tokens.
    """

    ids: Tensor
    mask: Tensor
    lengths: tuple[int, ...]
    rows: Tensor
    positions: Tensor
    answers: Tensor

    @cached_property
    def tokens(self) -> tuple[Tensor, Tensor]:
        """Rows and positions, each ``[input tokens]``, of all tokens that are not padding, row by row."""
        rows, positions = self.mask.nonzero(as_tuple=True)
        return rows, positions


def collate(examples: Sequence[Encoded], pad: int, device: torch.device) -> Inputs:
    """Pads encoded examples to the longest one."""
    lengths = [len(example.ids) - 1 for example in examples]
    ids = torch.full((len(examples), max(lengths)), pad)
    mask = torch.zeros_like(ids)
    rows: list[int] = []
    positions: list[int] = []
    answers: list[int] = []
    for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
        ids[row, :length] = torch.tensor(example.ids[:length])
        mask[row, :length] = 1
        rows += [row] * len(example.answer)
        positions += range(example.answer_start - 1, length)
        answers += example.answer
    index = torch.tensor([rows, positions, answers], device=device)
    return Inputs(ids.to(device), mask.to(device), tuple(lengths), index[0], index[1], index[2])


@dataclass(frozen=True)
class Prefix:
    """Keys and values of a soft prompt, computed once for a whole batch.

    In a causal model they do not depend on what follows, so all rows can share them; autograd sums their gradients
    over the rows.

    Attributes:
        layers: keys and values of each layer, ``[1, heads, length, head size]``.
        length: number of virtual tokens.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int

    @property
    def tensors(self) -> list[Tensor]:
        """All keys and values, layer by layer."""
        return [tensor for layer in self.layers for tensor in layer]

    def of(self, tensors: Sequence[Tensor]) -> Prefix:
        """A prefix of the same length with these `tensors`."""
        return Prefix(tuple(zip(tensors[::2], tensors[1::2], strict=True)), self.length)

    def expanded(self, batch: int) -> DynamicCache:
        """A key-value cache that holds the prefix for every row and stores no later tokens."""
        rows = ((keys.expand(batch, -1, -1, -1), values.expand(batch, -1, -1, -1)) for keys, values in self.layers)
        cache = DynamicCache(rows)
        cache.layers = [_ReadOnlyLayer.of(layer) for layer in cache.layers]
        return cache


@dataclass(frozen=True)
class LeadingPrompt:
    """A soft prompt at the beginning of a packed sequence: it is computed once per pass, and all rows attend to it.

    Attributes:
        embeddings: ``[length, hidden]``.
    """

    embeddings: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """The embeddings."""
        return [self.embeddings]

    def of(self, tensors: Sequence[Tensor]) -> LeadingPrompt:
        """A prompt with these `tensors`."""
        return LeadingPrompt(tensors[0])


# A soft prompt as a forward pass takes it: shared by all rows of the pass, or embeddings that each row repeats.
PromptInput = Prefix | LeadingPrompt | Tensor


class _ReadOnlyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values that are read but never added to, so that a checkpointed layer can run twice."""

    @classmethod
    def of(cls, layer: DynamicLayer) -> _ReadOnlyLayer:
        copy = cls()
        copy.lazy_initialization(layer.keys, layer.values)
        copy.keys, copy.values = layer.keys, layer.values
        return copy

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return torch.cat([self.keys, key_states], dim=-2), torch.cat([self.values, value_states], dim=-2)


def shared_prompt(network: PreTrainedModel, prompt: Tensor) -> Prefix | LeadingPrompt:
    """Prepares a soft prompt ``[length, hidden]`` that all rows share.

    For packed rows it goes to the beginning of their sequence; for padded rows its keys and values are computed here.
    """
    if packs(network):
        return LeadingPrompt(prompt)
    inner = getattr(network, network.base_model_prefix)
    # In training mode a layer under gradient checkpointing would keep no keys and values.
    with evaluating(network):
        cache = inner(inputs_embeds=prompt[None], use_cache=True).past_key_values
    for module in network.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module._can_checkpoint_with_cache = True
    return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers), prompt.shape[0])


def answer_logits(network: PreTrainedModel, inputs: Inputs, prompted: PromptInput | None = None) -> Tensor:
    """``[tokens, vocab]`` logits that predict the answer tokens.

    Args:
        prompted: a soft prompt before every row: shared, or ``[length, hidden]`` embeddings that each row repeats.
    """
    return logits_and_states(network, inputs, prompted, None)[0]


def logits_and_states(
    network: PreTrainedModel, inputs: Inputs, prompted: PromptInput | None, layer: int | None
) -> tuple[Tensor, Tensor | None]:
    """`answer_logits`, and ``[input tokens, hidden]`` outputs of a layer for all tokens of `Inputs.tokens`.

    Args:
        layer: 1 for the first transformer layer; None for no outputs.
    """
    layout = (_packed if packs(network) else _padded)(network, inputs, prompted)
    predicting = layout.index(inputs.rows, inputs.positions)
    with gathering(network, *predicting, trim=layer is None), outputs_of(network, layer) as outputs:
        output = network(**layout.arguments, use_cache=False)
    logits = output.logits.reshape(-1, output.logits.shape[-1])
    if layer is None:
        return logits, None
    # Under gradient checkpointing a layer runs again in the backward pass, but its hook is removed by then.
    (states,) = outputs
    rows, positions = layout.index(*inputs.tokens)
    return logits, states[rows.to(states.device), positions.to(states.device)]


def answer_states(network: PreTrainedModel, inputs: Inputs, prompted: PromptInput | None = None) -> Tensor:
    """``[tokens, hidden]`` last-layer states that the LM head turns into `answer_logits`."""
    states: list[Tensor] = []
    head = network.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, arguments, output: states.append(arguments[0]))
    try:
        answer_logits(network, inputs, prompted)
    finally:
        handle.remove()
    return states[0].reshape(-1, states[0].shape[-1])


@dataclass(frozen=True)
class Layout:
    """How the rows of a pass are laid out in the network's inputs and outputs.

    Attributes:
        arguments: keyword arguments of the network.
        first: number of positions before each row's first token.
        starts: ``[batch]`` index of each row's start in the packed sequence, or None if rows are padded.
    """

    arguments: dict[str, Any]
    first: int
    starts: Tensor | None = None

    def index(self, rows: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Index into the network's output, ``[batch, length]``, of each of these positions of these rows."""
        if self.starts is None:
            return rows, positions + self.first
        return torch.zeros_like(rows), self.starts[rows] + positions + self.first


def _padded(network: PreTrainedModel, inputs: Inputs, prompted: PromptInput | None) -> Layout:
    """Rows padded to the longest."""
    assert not isinstance(prompted, LeadingPrompt), "padded rows can't share a prompt that is part of their own pass"
    batch, length = inputs.ids.shape
    first = prompted.length if isinstance(prompted, Prefix) else 0 if prompted is None else len(prompted)
    mask = torch.cat([inputs.mask.new_ones(batch, first), inputs.mask], dim=1)
    if not isinstance(prompted, Prefix):
        return Layout({"attention_mask": mask} | _words(network, inputs, prompted), first)
    arguments: dict[str, Any] = {"attention_mask": mask, "past_key_values": prompted.expanded(batch)}
    if "position_ids" in inspect.signature(network.forward).parameters:
        arguments["position_ids"] = torch.arange(first, first + length, device=inputs.ids.device)[None]
    return Layout(arguments | _words(network, inputs, None), 0)


def _packed(network: PreTrainedModel, inputs: Inputs, prompted: PromptInput | None) -> Layout:
    """All rows in one sequence."""
    assert not isinstance(prompted, Prefix), "packed rows can't attend to keys outside their sequence"
    embeddings = prompted if isinstance(prompted, Tensor) else None
    first = 0 if embeddings is None else len(embeddings)
    leading = prompted.embeddings if isinstance(prompted, LeadingPrompt) else None
    shared = 0 if leading is None else len(leading)
    lengths, width = [first + length for length in inputs.lengths], first + inputs.ids.shape[1]
    packing = Packing.of(lengths, width, inputs.ids.device, shared)
    ((kind, padded),) = _words(network, inputs, embeddings).items()
    words = padded.flatten(0, 1).index_select(0, packing.source)
    if leading is not None:
        kind, words = "inputs_embeds", network.get_input_embeddings()(words)
        words = torch.cat([leading.to(words.dtype), words])
    return Layout(packing.arguments() | {kind: words[None]}, first, packing.starts)


def _words(network: PreTrainedModel, inputs: Inputs, prompt: Tensor | None) -> dict[str, Tensor]:
    """Token ids ``[batch, length]``, or embeddings ``[batch, prompt + length, hidden]`` that begin with the prompt."""
    if prompt is None:
        return {"input_ids": inputs.ids}
    words = network.get_input_embeddings()(inputs.ids)
    return {"inputs_embeds": torch.cat([prompt.to(words.dtype)[None].expand(len(words), -1, -1), words], dim=1)}
