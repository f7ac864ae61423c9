"""A language model as the engine uses it: weights, an optional soft prompt, and how to run them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from unlearnbench.engine.batching import packed_passes, padded_passes
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.forward import (
    Inputs,
    PromptInput,
    answer_logits,
    answer_states,
    collate,
    logits_and_states,
    shared_prompt,
)
from unlearnbench.engine.modes import evaluating
from unlearnbench.engine.packing import packs
from unlearnbench.engine.positions import positions
from unlearnbench.engine.precision import CastWeights, Precision

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Result = TypeVar("Result")


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model with its precision and memory budget; several may share one network.

    Attributes:
        network: the transformers model.
        pad: token id used as padding (masked, so any will do).
        compute_dtype: precision of matrix products; float32 means no autocast.
        tokens_per_pass: maximum number of tokens in one forward pass (a single example always runs); a soft prompt
            counts once for every row that repeats it.
        prompt: ``[tokens, hidden]`` soft prompt before every input, or None.
        shared_prefix: whether all rows share the soft prompt; if not, each row repeats it.
    """

    network: PreTrainedModel
    pad: int
    compute_dtype: torch.dtype = torch.float32
    tokens_per_pass: int | None = None
    prompt: Tensor | None = None
    shared_prefix: bool = True

    def with_prompt(self, prompt: Tensor, shared: bool) -> LanguageModel:
        """The same network with a soft prompt before every input."""
        return replace(self, prompt=prompt, shared_prefix=shared)

    @property
    def device(self) -> torch.device:
        """The device of the inputs."""
        return self.network.get_input_embeddings().weight.device  # type: ignore[no-any-return]

    @property
    def vocabulary(self) -> int:
        """Width of the logits."""
        return int(self.network.get_output_embeddings().weight.shape[0])

    @property
    def budget(self) -> int:
        """Maximum number of tokens in one forward pass, padding included."""
        return self.tokens_per_pass or self.precision.tokens_per_pass

    @property
    def precision(self) -> Precision:
        """The precision of weights and computations."""
        return Precision(self.device.type, self.network.dtype, self.compute_dtype)

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which forward passes run."""
        return self.precision.autocast()

    def room(self, virtual_tokens: int | None = None) -> int | None:
        """Maximum number of tokens of a row after the soft prompt; None if there is no limit.

        Args:
            virtual_tokens: length of another soft prompt than the model's own.
        """
        known = positions(self.network.config)
        prefix = (0 if self.prompt is None else len(self.prompt)) if virtual_tokens is None else virtual_tokens
        return None if known is None else known - prefix

    def passes(self, encoded: Sequence[Encoded], budget: int, prefix: int = 0) -> Iterator[list[int]]:
        """Indices of the examples of each forward pass of at most `budget` tokens, shortest examples first.

        Args:
            prefix: number of virtual tokens that every row repeats.
        """
        cut = packed_passes if packs(self.network) else padded_passes
        return cut([prefix + len(example.ids) - 1 for example in encoded], budget)

    def predict(self, encoded: Sequence[Encoded]) -> Iterator[tuple[list[int], Inputs, Tensor]]:
        """Indices, inputs and ``[tokens, vocab]`` logits, pass by pass, shortest examples first."""
        return self._passes(encoded, answer_logits)

    @property
    def layers(self) -> int:
        """Number of transformer layers."""
        return int(self.network.config.get_text_config().num_hidden_layers)

    def hidden_states(self, encoded: Sequence[Encoded], layer: int) -> Iterator[tuple[list[int], Tensor]]:
        """Indices of examples, and ``[input tokens, hidden]`` outputs of a layer for all of their tokens in turn."""

        def forward(network: PreTrainedModel, inputs: Inputs, prompted: PromptInput | None) -> Tensor:
            states = logits_and_states(network, inputs, prompted, layer)[1]
            assert states is not None
            return states

        return ((indices, states) for indices, _, states in self._passes(encoded, forward))

    def states(self, encoded: Sequence[Encoded]) -> Tensor:
        """``[examples, hidden]`` last-layer states at the position that predicts each example's first answer token."""
        rows: list[Tensor | None] = [None] * len(encoded)
        for indices, inputs, states in self._passes(encoded, answer_states):
            starts = torch.searchsorted(inputs.rows, torch.arange(len(indices), device=inputs.rows.device))
            for index, state in zip(indices, states[starts].float().cpu(), strict=True):
                rows[index] = state
        return torch.stack([row for row in rows if row is not None])

    def _passes(
        self, encoded: Sequence[Encoded], forward: Callable[[PreTrainedModel, Inputs, PromptInput | None], Tensor]
    ) -> Iterator[tuple[list[int], Inputs, Tensor]]:
        """Runs `forward` pass by pass.

        Each pass enters evaluation mode, inference mode and autocast itself; between two passes the caller's own modes
        apply.
        """
        weights = CastWeights(self.network, self.precision, trains=False)
        prompted = self._prompted(weights)

        def run(indices: list[int]) -> tuple[Inputs, Tensor]:
            inputs = collate([encoded[i] for i in indices], self.pad, self.device)
            with evaluating(self.network), torch.inference_mode(), self.autocast(), weights.in_place():
                return inputs, forward(self.network, inputs, prompted)

        prefix = len(prompted) if isinstance(prompted, Tensor) else 0
        for indices, (inputs, output) in self.halving(self.passes(encoded, self.budget, prefix), run):
            yield indices, inputs, output

    def _prompted(self, weights: CastWeights) -> PromptInput | None:
        """The soft prompt as forward passes take it."""
        if self.prompt is None:
            return None
        prompt = self.prompt.to(self.device, self.network.dtype)
        if not self.shared_prefix:
            return prompt
        with torch.inference_mode(), self.autocast(), weights.in_place():
            return shared_prompt(self.network, prompt)

    def halving(
        self, groups: Iterable[list[int]], run: Callable[[list[int]], Result]
    ) -> Iterator[tuple[list[int], Result]]:
        """Yields each group with the result of `run`; a group that does not fit into memory is split in two."""
        waiting = deque(groups)
        while waiting:
            indices = waiting.popleft()
            try:
                result = run(indices)
            except torch.OutOfMemoryError:
                if len(indices) == 1:
                    raise
                half = len(indices) // 2
                waiting.extendleft([indices[half:], indices[:half]])
                continue
            yield indices, result
