"""Rows are cut to the positions that a network supports, less those of a soft prompt."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BloomConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from tests.conftest import gpt2_tokenizer, review
from tests.engine.test_forward import plain_logits, random_prompt, relative_error
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.positions import positions
from unlearnbench.errors import UserError

DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10_000.0}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 24,
    "rope_theta": 10_000.0,
    "factor": 4.0,
}


def llama(rope: dict[str, object], known: int) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=known,
        rope_parameters=rope,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize(
    ("config", "known"),
    [
        (GPT2Config(n_positions=77), 77),
        (OPTConfig(max_position_embeddings=78), 78),
        (LlamaConfig(max_position_embeddings=79), 79),
        (LlamaConfig(max_position_embeddings=96, rope_parameters=LONG), 24),
        (LlamaConfig(max_position_embeddings=48, rope_parameters=DYNAMIC), 48),
        (BloomConfig(), None),
        (MambaConfig(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_number_of_positions_of_a_network(config: PreTrainedConfig, known: int | None) -> None:
    assert positions(config) == known


def test_row_is_cut_as_with_a_smaller_context() -> None:
    encoder, example = Encoder(gpt2_tokenizer(), 1024), review("slow " * 200, "zygote quartz")
    for room in (30, 41, 64):
        (cut,) = encoder.encode([example], room=room)
        assert cut == Encoder(gpt2_tokenizer(), room).encode([example])[0]
        assert len(cut.ids) == room
    (answer,) = {len(row.answer) for row in encoder.encode([example])}
    with pytest.raises(UserError, match=f"answer of {answer} tokens does not fit into a context of {answer}"):
        encoder.encode([example], room=answer)


def test_prompt_before_a_row_at_the_limit_of_learned_positions() -> None:
    torch.manual_seed(0)
    network = GPT2LMHeadModel(
        GPT2Config(vocab_size=500, n_embd=32, n_layer=2, n_head=4, n_positions=48, initializer_range=0.2)
    ).eval()
    prompt = random_prompt(network, tokens=6)
    model = LanguageModel(network, pad=0)
    assert (model.room(), model.room(6), model.with_prompt(prompt, shared=True).room()) == (48, 42, 42)
    encoder, example = Encoder(gpt2_tokenizer(), 1024), review("slow " * 200, "negative")
    for shared in (True, False):
        prompted = model.with_prompt(prompt, shared)
        (row,) = encoder.encode([example], room=prompted.room())
        ((_, _, logits),) = prompted.predict([row])
        assert relative_error(logits, plain_logits(network, row, prompt)) < 1e-4


@pytest.mark.parametrize(("rope", "known"), [(DYNAMIC, 24), (LONG, 96)], ids=["dynamic", "longrope"])
@pytest.mark.parametrize("prompted", [False, True])
def test_rotary_positions_do_not_depend_on_the_rows_of_the_same_pass(
    rope: dict[str, object], known: int, prompted: bool
) -> None:
    """Beyond the original context they would turn at another pace for all rows of a pass."""
    network = llama(rope, known)
    model = LanguageModel(network, pad=0)
    prompt = random_prompt(network) if prompted else None
    if prompt is not None:
        model = model.with_prompt(prompt, shared=True)
    rows = [Encoded(tuple(range(5, 5 + length)), length - 1) for length in (8, 60)]
    assert model.room() == 24 - (4 if prompted else 0)
    cut = [row.within(model.room() or 0) for row in rows]
    ((indices, inputs, logits),) = model.predict(cut)
    for place, index in enumerate(indices):
        alone = plain_logits(llama(rope, known), cut[index], prompt)
        assert relative_error(logits[inputs.rows == place], alone) < 1e-4
