"""Greedy generation: what a model writes after a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearnbench.engine.batching import padded_passes
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.modes import evaluating

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria


def write(model: LanguageModel, encoded: Sequence[Encoded]) -> list[tuple[int, ...]]:
    """Greedy continuations of the prompts of `encoded`, each at most as long as the example's answer.

    Fine-tuning teaches answers but not where to stop, so the number of tokens of the right answer is the limit; an
    end-of-text token ends a continuation earlier.
    """
    prompts = [example.ids[: example.answer_start] for example in encoded]
    return continuations(model, prompts, [len(example.answer) for example in encoded])


def continuations(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    stop: StoppingCriteria | None = None,
) -> list[tuple[int, ...]]:
    """Greedy continuations of prompts, each of at most so many tokens; an end-of-text token ends one earlier.

    Args:
        stop: says which continuations need no more tokens; it is given the written tokens alone. They may be followed
            by padding.
    """
    prefix = 0 if model.prompt is None else len(model.prompt)
    written: list[tuple[int, ...]] = [()] * len(prompts)
    lengths = [prefix + len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)]

    def run(group: list[int]) -> list[tuple[int, ...]]:
        return _continue(model, [prompts[i] for i in group], [limits[i] for i in group], stop)

    for indices, rows in model.halving(padded_passes(lengths, model.budget), run):
        for index, row in zip(indices, rows, strict=True):
            written[index] = row
    return written


@torch.inference_mode()
def _continue(
    model: LanguageModel, prompts: Sequence[Sequence[int]], limits: Sequence[int], stop: StoppingCriteria | None
) -> list[tuple[int, ...]]:
    from transformers import GenerationConfig, StoppingCriteriaList

    network = model.network
    ends = _end_tokens(model)
    settings = GenerationConfig(
        max_new_tokens=max(limits), do_sample=False, pad_token_id=model.pad, eos_token_id=ends or None
    )
    embeddings, mask = _left_padded(model, prompts)
    with evaluating(network), model.autocast(), _only(settings, network):
        output = network.generate(
            inputs_embeds=embeddings,
            attention_mask=mask,
            generation_config=settings,
            stopping_criteria=StoppingCriteriaList([] if stop is None else [stop]),
        ).tolist()
    return [_until(row[:limit], ends) for row, limit in zip(output, limits, strict=True)]


@contextmanager
def _only(settings: GenerationConfig, network: PreTrainedModel) -> Iterator[None]:
    """Replaces the model's own settings, which would fill in those that are not set, such as a repetition penalty."""
    own, network.generation_config = network.generation_config, settings
    try:
        yield
    finally:
        network.generation_config = own


def _left_padded(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Embeddings ``[batch, length, hidden]`` of soft prompt and prompt, padded on the left, and their mask."""
    words = model.network.get_input_embeddings()
    prefix = [] if model.prompt is None else [model.prompt.to(model.device, words.weight.dtype)]
    rows = [torch.cat([*prefix, words(torch.tensor(list(ids), device=model.device))]) for ids in prompts]
    masks = [torch.ones(len(row), dtype=torch.long, device=model.device) for row in rows]
    padded = [torch.nn.utils.rnn.pad_sequence(some, batch_first=True, padding_side="left") for some in (rows, masks)]
    return padded[0], padded[1]


def _end_tokens(model: LanguageModel) -> list[int]:
    ends = model.network.generation_config.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends or [])


def _until(tokens: Sequence[int], ends: Sequence[int]) -> tuple[int, ...]:
    """The tokens before the first end-of-text token."""
    return tuple(tokens[: next((i for i, token in enumerate(tokens) if token in ends), len(tokens))])
