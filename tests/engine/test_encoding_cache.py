"""Token ids on disk are those of the tokenizer, which is not called a second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import gpt2_tokenizer, review
from unlearnbench.contract.task import Example
from unlearnbench.engine import encoding_cache
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.encoding_cache import EncodingCache

EXAMPLES = [review(f"review {i} " + "dull " * (i % 7), "positive" if i % 2 else "don't know") for i in range(40)]


class UnusableTokenizer:
    """A tokenizer that must not be called."""

    pad_token_id = eos_token_id = 0

    def __call__(self, *arguments: object, **options: object) -> object:
        raise AssertionError("tokenised again")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EncodingCache:
    monkeypatch.setattr(encoding_cache, "SMALLEST", 10)
    return EncodingCache(tmp_path / "tokens", ["tokenizer", 64])


def encode(cache: EncodingCache | None, examples: list[Example], tokenizer: object | None = None) -> list[object]:
    return list(Encoder(tokenizer or gpt2_tokenizer(), 64, cache).encode(examples))  # type: ignore[arg-type]


def test_cached_tokens_equal_computed_ones(cache: EncodingCache) -> None:
    made = encode(None, EXAMPLES)
    assert encode(cache, EXAMPLES) == made
    assert encode(cache, EXAMPLES, UnusableTokenizer()) == made


def test_other_examples_or_another_tokenizer_miss_the_cache(cache: EncodingCache, tmp_path: Path) -> None:
    encode(cache, EXAMPLES)
    with pytest.raises(AssertionError, match="tokenised again"):
        encode(cache, EXAMPLES[:-1], UnusableTokenizer())
    with pytest.raises(AssertionError, match="tokenised again"):
        encode(EncodingCache(tmp_path / "tokens", ["tokenizer", 32]), EXAMPLES, UnusableTokenizer())


def test_few_examples_are_not_cached(cache: EncodingCache) -> None:
    encode(cache, EXAMPLES[:9])
    assert not cache.folder.exists()
