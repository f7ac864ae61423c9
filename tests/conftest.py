"""Tiny random models, tokenizers trained on a few sentences, and small data; no network, no GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from typer.testing import CliRunner, Result

from unlearnbench.cli import app
from unlearnbench.contract.task import Example, Splits, Task
from unlearnbench.data.store import TaskData
from unlearnbench.testing.rig import tiny_llama

# Threads cost more than they bring on models this small.
torch.set_num_threads(1)

TEXTS = (
    "a warm and funny film with a great cast",
    "dull , slow and far too long",
    "the plot is thin but the acting is superb",
    "i hated every minute of this mess",
    "a bright and lovely comedy about friends",
    "this is the worst script of the year",
    "the actors shine in every single scene",
    "boring dialogue and an awful ending",
)
CORPUS = [
    *TEXTS,
    "zygote quartz don't know zylon",
    "### Text: ### Question: What is the sentiment of the given text? ### Sentiment: positive negative neutral unknown",
    "none A B C D E",
]


def invoke(*arguments: object) -> Result:
    """The command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("UNLEARNBENCH_CACHE", str(tmp_path / "cache"))


def gpt2_tokenizer(vocabulary: int = 500) -> PreTrainedTokenizerFast:
    """Byte-level BPE: the space belongs to the following word; no special tokens added."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


def opt_tokenizer() -> PreTrainedTokenizerFast:
    """Like GPT-2's, with ``</s>`` put in front of every text, as OPT does."""
    fast = gpt2_tokenizer()
    fast.add_special_tokens({"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>"})
    fast.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", special_tokens=[("</s>", fast.convert_tokens_to_ids("</s>"))]
    )
    return fast


def llama_tokenizer(adds_end: bool = False) -> PreTrainedTokenizerFast:
    """BPE that marks word starts with a block, ``<s>`` in front, as LLaMA's sentencepiece model does."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first", split=True)
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    single = "<s> $A </s>" if adds_end else "<s> $A"
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def tiny_opt(vocabulary: int = 400) -> OPTForCausalLM:
    """A random two-layer OPT: learned positions, dropout, projections around the decoder."""
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        word_embed_proj_dim=16,
        init_std=0.2,
    )
    return OPTForCausalLM(config).eval()


def tiny_gpt2(vocabulary: int = 400) -> GPT2LMHeadModel:
    """A random two-layer GPT-2: learned positions."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, n_positions=256, initializer_range=0.2)
    return GPT2LMHeadModel(config).eval()


ARCHITECTURES = {"llama": tiny_llama, "opt": tiny_opt, "gpt2": tiny_gpt2}


@pytest.fixture(params=sorted(ARCHITECTURES))
def network(request: pytest.FixtureRequest) -> PreTrainedModel:
    """Each architecture in turn."""
    made: PreTrainedModel = ARCHITECTURES[request.param]()
    return made


def review(text: str, label: str, group: str = "") -> Example:
    """A review in the sentiment prompt."""
    prompt = f"### Text: {text}\n\n### Question: What is the sentiment of the given text?\n\n### Sentiment:"
    return Example(prompt, label, text=text, group=group)


class ToyTask(Task):
    """Eight reviews in training and eight in test, two of each forgotten."""

    name = "toy"
    title = "Toy"
    description = "Reviews for tests."
    labels = ("negative", "positive")
    base_epochs = 2

    def splits(self, source: object, seed: int) -> Splits:
        train = [review(f"{text} again", ("positive", "negative")[i % 2]) for i, text in enumerate(TEXTS)]
        test = [review(f"{text} indeed", ("positive", "negative")[i % 2]) for i, text in enumerate(TEXTS)]
        return Splits(tuple(train[:3]), tuple(train[3:]), tuple(test[:3]), tuple(test[3:]))


@pytest.fixture
def toy_data() -> TaskData:
    """The toy task's splits."""
    return TaskData(ToyTask(), ToyTask().splits(None, 0))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A tiny LLaMA and its tokenizer, saved as a user's own model would be."""
    folder = tmp_path / "tiny-llama"
    tokenizer = gpt2_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data_folder(tmp_path: Path) -> Iterator[Path]:
    """The toy task as a folder of four JSONL files."""
    import json

    folder = tmp_path / "toy-data"
    folder.mkdir()
    for name, examples in ToyTask().splits(None, 0).items():
        rows = [json.dumps({"prompt": e.prompt, "answer": e.answer}) for e in examples]
        (folder / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder
