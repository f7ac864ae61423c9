"""What lm-evaluation-harness is told: the numbers of its own model class, of transformers and of PEFT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from tests.conftest import ARCHITECTURES, TEXTS, gpt2_tokenizer, llama_tokenizer, opt_tokenizer
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.probe import can_share_prefix, enable_packing
from unlearnbench.errors import UserError
from unlearnbench.utility.harness_model import HarnessModel

TOKENIZERS = {"llama": llama_tokenizer, "opt": opt_tokenizer, "gpt2": gpt2_tokenizer}
PAIRS = [
    *((text, f" {label}") for text in TEXTS for label in ("positive", "a great cast")),
    ("", "the plot is thin"),
    ("ends in a space ", "negative"),
    # Longer than the model can read.
    (" ".join(TEXTS * 8), " superb"),
]


def loaded(architecture: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    tokenizer = TOKENIZERS[architecture]()
    network = ARCHITECTURES[architecture](len(tokenizer))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return network, tokenizer


def requests(kind: Any, arguments: Sequence[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(kind, {}, argument, number, ("t", number, 1)) for number, argument in enumerate(arguments)]


def ours(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, budget: int = 200) -> HarnessModel:
    return HarnessModel(LanguageModel(network, pad=0, tokens_per_pass=budget), tokenizer)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_log_likelihoods_are_those_of_the_harness_for_weights(architecture: str, packed: bool) -> None:
    network, tokenizer = loaded(architecture)
    theirs = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=3)
    whole = [(text,) for text in (*TEXTS, " ".join(TEXTS * 8))]
    expected = theirs.loglikelihood(requests("loglikelihood", PAIRS), disable_tqdm=True)
    rolling = theirs.loglikelihood_rolling(requests("loglikelihood_rolling", whole), disable_tqdm=True)
    if packed:
        enable_packing(network)
    model = ours(network, tokenizer)
    assert model.max_length == theirs.max_length
    found = model.loglikelihood(requests("loglikelihood", PAIRS), disable_tqdm=True)
    assert [one for one, _ in found] == pytest.approx([one for one, _ in expected], abs=2e-4)
    assert [greedy for _, greedy in found] == [bool(greedy) for _, greedy in expected]
    assert model.loglikelihood_rolling(requests("loglikelihood_rolling", whole)) == pytest.approx(rolling, abs=1e-3)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_texts_are_those_of_the_harness_for_weights(architecture: str) -> None:
    network, tokenizer = loaded(architecture)
    asked = [(text, {"until": until, "max_gen_toks": 12}) for text in TEXTS for until in ([], ["e", "zyl"])]
    theirs = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=1)
    expected = theirs.generate_until(requests("generate_until", asked), disable_tqdm=True)
    assert ours(network, tokenizer).generate_until(requests("generate_until", asked)) == expected
    assert any(expected)
    assert not any("e" in text for text in expected[1::2])


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_soft_prompt_stands_in_front_of_every_request(architecture: str) -> None:
    network, tokenizer = loaded(architecture)
    without = ours(network, tokenizer)
    torch.manual_seed(1)
    width = network.get_input_embeddings().weight.shape[1]
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, token_dim=width)
    adapted = get_peft_model(ARCHITECTURES[architecture](len(tokenizer)), config).eval()
    prompt = adapted.get_prompt(1)[0].detach()
    shared = can_share_prefix(network, prompt)
    model = HarnessModel(LanguageModel(network, 0, tokens_per_pass=200).with_prompt(prompt, shared), tokenizer)
    assert model.max_length == without.max_length - 5

    # PEFT, one request at a time.
    expected = []
    for context, continuation in PAIRS[:-1]:
        front = [model.prefix_token_id] if context == "" else tokenizer.encode(context.rstrip())
        if context == "":
            answer = tokenizer.encode(continuation, add_special_tokens=False)
        else:
            answer = tokenizer.encode(context + continuation)[len(front) :]
        with torch.inference_mode():
            logits = adapted(input_ids=torch.tensor([front + answer])).logits[0, -len(answer) - 1 : -1]
        chosen = logits.log_softmax(-1)[range(len(answer)), answer]
        expected.append((float(chosen.sum()), logits.argmax(-1).tolist() == answer))
    found = model.loglikelihood(requests("loglikelihood", PAIRS[:-1]), disable_tqdm=True)
    assert [one for one, _ in found] == pytest.approx([one for one, _ in expected], abs=2e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    plain = without.loglikelihood(requests("loglikelihood", PAIRS[:-1]), disable_tqdm=True)
    assert all(abs(one - other) > 1e-3 for (one, _), (other, _) in zip(found, plain, strict=True))

    asked = [(text, {"until": [], "max_gen_toks": 6}) for text in TEXTS[:3]]
    written = model.generate_until(requests("generate_until", asked))
    for (text, _), answer in zip(asked, written, strict=True):
        ids = tokenizer.encode(text)
        for _ in range(6):
            with torch.inference_mode():
                ids.append(int(adapted(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
        assert answer == tokenizer.decode(ids[len(tokenizer.encode(text)) :], skip_special_tokens=True)


def test_what_can_not_be_asked_is_refused() -> None:
    network, tokenizer = loaded("gpt2")
    model = ours(network, tokenizer)
    wrong = {
        "by sampling": {"do_sample": True, "temperature": 0.7},
        "num_beams": {"num_beams": 4},
        "wants 256 tokens written, but the model can read 256": {},
    }
    for message, settings in wrong.items():
        with pytest.raises(UserError, match=message):
            model.generate_until(requests("generate_until", [("a film", settings)]))
    with pytest.raises(UserError, match="a continuation of .* tokens does not fit into the 256"):
        model.loglikelihood(requests("loglikelihood", [("a", " film" * 300)]), disable_tqdm=True)
