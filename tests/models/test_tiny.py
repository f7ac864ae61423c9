"""The bundled model: small, safe to load, and its tokenizer knows the answers of the tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from unlearnbench.config import ModelConfig
from unlearnbench.contract.task import GENERIC_LABELS
from unlearnbench.models.loading import load_model, load_tokenizer
from unlearnbench.models.resolve import find_model, resolve
from unlearnbench.plugins import registry

TINY = resolve(find_model("tiny", registry().models))


def test_it_is_a_few_megabytes_of_safetensors_and_json() -> None:
    files = list(Path(TINY.path).iterdir())
    assert {file.suffix for file in files} == {".safetensors", ".json"}
    assert sum(file.stat().st_size for file in files) < 5 * 2**20


def test_it_is_a_llama_of_about_a_million_weights() -> None:
    network = load_model(TINY, ModelConfig())
    assert network.config.model_type == "llama"
    assert 1_000_000 < network.num_parameters() < 4_000_000
    assert str(network.dtype) == "torch.float32"


@pytest.mark.parametrize("answer", ["positive", "negative", "A", "B", "C", "D", *GENERIC_LABELS])
def test_every_answer_is_one_token(answer: str) -> None:
    assert len(load_tokenizer(TINY)(f" {answer}")["input_ids"]) == 1
