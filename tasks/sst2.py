"""SST-2: forget the reviews that name chosen people (SPUL, section 4.1)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from unlearnbench.api import (
    DataSource,
    GeneratedRows,
    HubDataset,
    Splits,
    Task,
    UserError,
    hookimpl,
    settled,
    split_by_text,
)

from .authors import AuthorsOptions, AuthorsTask
from .bundled.films import film_reviews
from .sentiment import LABELS, Review, authors_splits, load_reviews, partition

DATASET = HubDataset(
    "stanfordnlp/sst2",
    "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb",
    generated=GeneratedRows(("train", "validation"), film_reviews),
)
AUTHORS = HubDataset("karuna-bhaila/Unlearning_SST2v3", revision=None)
# 47756 of the 67349 + 872 reviews are the paper's training part (table 1: 1425 + 46331).
TRAIN_SHARE = 47756 / 68221
PERSONALITIES = Path(__file__).with_name("sst2_personalities.json")


class SST2Options(AuthorsOptions):
    """Options of SST-2: splits made here, with a named set of people to forget, or the authors' own splits."""

    personalities: str = "v1"


class SST2(AuthorsTask):
    """GLUE SST-2, training and validation rows pooled and split again 70/30."""

    name = "sst2"
    title = "SST-2"
    description = "Movie reviews; forget those that name chosen people (named-entity recognition)."
    labels = LABELS
    base_epochs = 10
    forget_target_reason = (
        "Suppression, as in the paper: a model that never saw these reviews tells their sentiment nearly as well."
    )
    datasets = (DATASET,)
    authors = AUTHORS
    Options = SST2Options
    options: SST2Options

    def data_identity(self, source: DataSource) -> str:
        identity = super().data_identity(source)
        if self.published:
            return identity
        names = "\n".join(self.personalities())
        return f"{identity}; names {hashlib.sha256(names.encode()).hexdigest()[:16]}"

    def splits(self, source: DataSource, seed: int) -> Splits:
        if self.published:
            return authors_splits(source, AUTHORS, {"data": self.data_identity(source)})
        people = self.personalities()
        pattern = name_pattern(people)
        reviews = pooled_reviews(source)
        train, test = split_by_text(reviews, [r.text for r in reviews], round(TRAIN_SHARE * len(reviews)), seed)

        def group_of(review: Review) -> str:
            match = pattern.search(review.text)
            return match.group(0).lower() if match else ""

        train_forget, train_retain = partition(train, group_of)
        test_forget, test_retain = partition(test, group_of)
        if not train_forget:
            raise UserError(
                f"no training review names one of the {len(people)} people of the set "
                f"{self.options.personalities!r}: choose the set that suits the data with "
                f"--set sst2.personalities=..., one of {', '.join(sorted(named_sets()))}."
            )
        return settled(
            Splits(
                train_forget,
                train_retain,
                test_forget,
                test_retain,
                provenance={
                    "data": self.data_identity(source),
                    "personalities": f"{self.options.personalities} ({len(people)} people)",
                    "forget entities": ", ".join(people),
                },
            )
        )

    def personalities(self) -> list[str]:
        """Names of the chosen set, as `sst2_personalities.json` lists them."""
        sets = named_sets()
        if self.options.personalities not in sets:
            raise UserError(
                f"sst2.personalities is {self.options.personalities!r}, but must be one of {', '.join(sorted(sets))}."
            )
        return sets[self.options.personalities]


def named_sets() -> dict[str, list[str]]:
    """The sets of people that can be forgotten: v1 for SST-2, fictional for the generated reviews."""
    sets = json.loads(PERSONALITIES.read_text(encoding="utf-8"))
    return {name: list(chosen["names"]) for name, chosen in sets.items()}


def pooled_reviews(source: DataSource) -> list[Review]:
    """GLUE training and validation reviews; the GLUE test labels are not public."""
    return [
        review
        for split in ("train", "validation")
        for review in load_reviews(source, DATASET, split, column="sentence")
    ]


def name_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Matches any of the names as whole words, regardless of case."""
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE)


@hookimpl
def register_tasks() -> list[type[Task]]:
    return [SST2]
