"""Single answers for a page, on which they can be filtered by row, seed, group, and whether they are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unlearnbench.console.safe_text import printable
from unlearnbench.contract.rows import BASE
from unlearnbench.leaderboard.blocks import Block, Line

if TYPE_CHECKING:
    import pandas as pd

# A page stays small enough for a browser; what it leaves out is said there.
MOST_EXAMPLES = 500
LONGEST_TEXT = 300
# Of a row that does not depend on the seed.
ANY = "any"


def answers_view(block: Block, samples: pd.DataFrame) -> dict[str, Any] | None:
    """The answers of a table's rows to its test examples, as the page's script reads them; None if no text is known.

    Args:
        samples: as `unlearnbench.load_samples` gives them.
    """
    known = samples[samples["text"].notna() & samples["key"].isin({entry.key for entry in block.entries})]
    splits = [found for name, rows in known.groupby("split", sort=False) if (found := _split(str(name), rows, block))]
    if not splits:
        return None
    rows = [{"id": line.row, "title": line.title, "seeds": _seeds(line)} for line in block.lines]
    seeds = [str(seed) for seed in block.seeds] or [ANY]
    return {"rows": rows, "seeds": seeds, "before": BASE, "splits": splits}


def _seeds(line: Line) -> list[str]:
    return [_seed(entry.seed) for entry in line.entries]


def _seed(seed: int | None) -> str:
    return ANY if seed is None else str(seed)


def _split(name: str, samples: pd.DataFrame, block: Block) -> dict[str, Any] | None:
    by_key = {str(key): rows.sort_values("example") for key, rows in samples.groupby("key")}
    size = len(next(iter(by_key.values())))
    step = max(1, -(-size // MOST_EXAMPLES))
    texts: dict[str, int] = {}
    given: dict[str, dict[str, list[int]]] = {}
    right: dict[str, dict[str, str]] = {}
    for line in block.lines:
        for entry in line.entries:
            found = by_key.get(entry.key)
            # Rows of one table were evaluated on the same examples, but for transfer tasks that somebody has changed.
            if found is None or len(found) != size:
                continue
            kept = found.iloc[::step]
            given.setdefault(line.row, {})[_seed(entry.seed)] = _numbered(kept["predicted"].tolist(), texts)
            right.setdefault(line.row, {})[_seed(entry.seed)] = "".join("01"[bool(flag)] for flag in kept["right"])
    if not given:
        return None
    shown = next(iter(by_key.values())).iloc[::step]
    return {
        "name": name.replace("_", " "),
        "size": size,
        "examples": [int(number) for number in shown["example"]],
        "text": [_cut(text) for text in shown["text"]],
        "group": [printable(str(group)) for group in shown["group"].fillna("")],
        "answer": [printable(str(answer)) for answer in shown["answer"]],
        "answers": list(texts),
        "given": given,
        "right": right,
    }


def _numbered(predicted: Sequence[str], texts: dict[str, int]) -> list[int]:
    """The number of each answer among all different ones."""
    return [texts.setdefault(_cut(text), len(texts)) for text in predicted]


def _cut(text: str) -> str:
    return printable(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …", lines=True)
