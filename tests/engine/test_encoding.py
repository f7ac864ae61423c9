"""Answers are separated from prompts, for each family of tokenizers."""

from __future__ import annotations

import time

import pytest
from transformers import PreTrainedTokenizerFast

from tests.conftest import TEXTS, gpt2_tokenizer, llama_tokenizer, opt_tokenizer, review
from unlearnbench.contract.task import Example
from unlearnbench.engine.encoding import Encoder
from unlearnbench.errors import UserError

TOKENIZERS = {
    "gpt2": gpt2_tokenizer,
    "opt": opt_tokenizer,
    "llama": llama_tokenizer,
    "llama with closing token": lambda: llama_tokenizer(adds_end=True),
}


@pytest.fixture(params=sorted(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    made: PreTrainedTokenizerFast = TOKENIZERS[request.param]()
    return made


@pytest.mark.parametrize("answer", ["positive", "B", "zygote quartz", "don't know"])
def test_decoded_ids_are_prompt_and_answer(tokenizer: PreTrainedTokenizerFast, answer: str) -> None:
    example = review("a warm and funny film", answer)
    (encoded,) = Encoder(tokenizer, 1024).encode([example])
    prompt = tokenizer.decode(encoded.ids[: encoded.answer_start], skip_special_tokens=True)
    assert prompt.rstrip().endswith("### Sentiment:")
    assert Encoder(tokenizer, 1024).decode(encoded.answer) == answer


@pytest.mark.parametrize(("family", "first"), [("opt", "Ġpositive"), ("llama", "▁positive")])
def test_a_word_is_one_token_with_its_space_inside(family: str, first: str) -> None:
    tokenizer = TOKENIZERS[family]()
    (encoded,) = Encoder(tokenizer, 1024).encode([review("dull", "positive")])
    assert tokenizer.convert_ids_to_tokens(list(encoded.answer)) == [first]
    assert encoded.ids[0] == tokenizer.bos_token_id


def test_answers_may_have_several_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    (encoded,) = Encoder(tokenizer, 1024).encode([review("dull", "zygote quartz")])
    assert len(encoded.answer) > 1
    whole = tokenizer(f"{review('dull', '').prompt} zygote quartz")["input_ids"]
    end = [tokenizer.eos_token_id] if whole[-1] == tokenizer.eos_token_id else []
    assert [*encoded.ids, *end] == whole


def test_appended_eos_token_is_not_part_of_the_answer() -> None:
    (with_end,) = Encoder(llama_tokenizer(adds_end=True), 1024).encode([review("dull", "negative")])
    (without,) = Encoder(llama_tokenizer(), 1024).encode([review("dull", "negative")])
    assert with_end == without


def test_other_answers_share_the_prompt(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(tokenizer, 1024)
    example = review("dull", "negative")
    (own,), (generic,) = encoder.encode([example]), encoder.encode([example], ["neutral"])
    assert own.ids[: own.answer_start] == generic.ids[: generic.answer_start]
    assert encoder.decode(generic.answer) == "neutral"


def test_long_text_is_cut_in_the_middle_and_keeps_the_question() -> None:
    tokenizer = gpt2_tokenizer()
    example = review("slow " * 500, "negative")
    (encoded,) = Encoder(tokenizer, 64).encode([example])
    assert len(encoded.ids) == 64
    text = tokenizer.decode(encoded.ids)
    assert text.startswith("### Text:")
    assert text.endswith("### Sentiment: negative")


def test_answer_longer_than_the_context_is_refused() -> None:
    with pytest.raises(UserError, match="does not fit into a context of 16"):
        Encoder(gpt2_tokenizer(), 16).encode([Example("Say it:", "slow " * 50, text="x")])


def test_a_prompt_of_megabytes_keeps_its_beginning_and_its_end(tokenizer: PreTrainedTokenizerFast) -> None:
    words = [word for text in TEXTS for word in text.split()]
    text = " ".join(words[i * i % len(words)] for i in range(2_000_000))
    assert len(text) > 8_000_000
    ends = " ".join([*text.split()[:3000], *text.split()[-3000:]])
    whole, cut = review(ends, "positive"), review(text, "positive")
    began = time.process_time()
    (long,) = Encoder(tokenizer, 64).encode([cut])
    assert time.process_time() - began < 5
    (expected,) = Encoder(tokenizer, 64).encode([whole])
    assert len(long.ids) == len(expected.ids) == 64
    assert long == expected


def test_an_answer_of_megabytes_is_refused_before_it_is_tokenised(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UserError, match="has 10000000 characters and does not fit into a context of 64 tokens"):
        Encoder(tokenizer, 64).encode([review("dull", "x" * 10_000_000)])
