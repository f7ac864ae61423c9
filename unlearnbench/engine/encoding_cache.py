"""Stores token ids on disk, so that a split is tokenised once for all runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlearnbench.engine.encoded import Encoded
from unlearnbench.identity.digest import digest
from unlearnbench.identity.ids import TokensId
from unlearnbench.storage.cache import cached, content_hash

# Tokenising fewer pairs is faster than looking them up.
SMALLEST = 1000

Pair = tuple[str, str]


@dataclass(frozen=True)
class EncodingCache:
    """Encoded prompt-answer pairs by content hash.

    Attributes:
        identity: everything besides the pairs that determines the tokens: tokenizer and context length.
    """

    folder: Path
    identity: TokensId

    def get(self, pairs: Sequence[Pair], encode: Callable[[], list[Encoded]]) -> list[Encoded]:
        """The result of `encode` for the pairs, read from disk if it is stored there."""
        if len(pairs) < SMALLEST:
            return encode()
        entry = self.folder / f"{digest(self.identity)}-{content_hash(pairs)}"
        return cached(
            entry,
            lambda folder: _write(encode(), folder / "encoded.npz"),
            lambda folder: _read(folder / "encoded.npz"),
        )


def _write(encoded: Sequence[Encoded], file: Path) -> None:
    np.savez(
        file,
        ids=np.concatenate([np.asarray(row.ids, dtype=np.int32) for row in encoded]),
        ends=np.cumsum([len(row.ids) for row in encoded]),
        answer_starts=np.asarray([row.answer_start for row in encoded]),
    )


def _read(file: Path) -> list[Encoded]:
    with np.load(file, allow_pickle=False) as stored:
        rows = np.split(stored["ids"], stored["ends"][:-1])
        return [
            Encoded(tuple(ids.tolist()), int(start)) for ids, start in zip(rows, stored["answer_starts"], strict=True)
        ]
