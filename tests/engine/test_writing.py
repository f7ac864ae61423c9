"""Greedy generation, compared with an argmax loop over single rows."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from tests.conftest import tiny_llama
from tests.engine.test_forward import ROWS, random_prompt
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.probe import enable_packing
from unlearnbench.engine.writing import write


def argmax_loop(network: PreTrainedModel, ids: list[int], tokens: int, prompt: torch.Tensor | None) -> list[int]:
    """`tokens` new tokens, one whole forward pass for each."""
    found: list[int] = []
    for _ in range(tokens):
        words = network.get_input_embeddings()(torch.tensor([ids + found]))
        if prompt is not None:
            words = torch.cat([prompt[None], words], dim=1)
        found.append(int(network(inputs_embeds=words).logits[0, -1].argmax()))
    return found


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("budget", [8, 1000])
def test_generates_the_most_probable_token_at_each_step(
    network: PreTrainedModel, prompted: bool, packed: bool, budget: int
) -> None:
    network.generation_config.eos_token_id = None
    assert not packed or enable_packing(network)
    prompt = random_prompt(network) if prompted else None
    written = write(LanguageModel(network, pad=0, tokens_per_pass=budget, prompt=prompt), ROWS)
    for row, found in zip(ROWS, written, strict=True):
        expected = argmax_loop(network, list(row.ids[: row.answer_start]), len(row.answer), prompt)
        assert list(found) == expected


def test_generation_stops_at_the_end_of_text() -> None:
    network = tiny_llama()
    (row,) = [row for row in ROWS if len(row.answer) == 2]
    network.generation_config.eos_token_id = None
    ((first, second),) = write(LanguageModel(network, pad=0), [row])
    assert first != second
    network.generation_config.eos_token_id = [second, 399]
    assert write(LanguageModel(network, pad=0), [row]) == [(first,)]
    network.generation_config.eos_token_id = first
    assert write(LanguageModel(network, pad=0), [row]) == [()]


def test_generation_settings_of_the_model_change_nothing(network: PreTrainedModel) -> None:
    network.generation_config.eos_token_id = None
    own = network.generation_config
    expected = write(LanguageModel(network, pad=0), ROWS)
    own.repetition_penalty, own.no_repeat_ngram_size = 1000.0, 1
    own.bad_words_ids = [[row[0]] for row in expected]
    own.suppress_tokens = [row[0] for row in expected]
    assert write(LanguageModel(network, pad=0), ROWS) == expected
    assert network.generation_config is own
