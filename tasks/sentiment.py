"""The prompt of the sentiment tasks (SPUL, appendix; for SST-2 and Yelp)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from unlearnbench.api import DataSource, Example, HubDataset, Splits, UserError, settled

LABELS = ("negative", "positive")
# The authors' splits name no people and no clusters.
AUTHORS_GROUP = "forget set of the authors"


class Review(NamedTuple):
    """A review and its label, 0 negative or 1 positive."""

    text: str
    label: int


def sentiment_example(review: Review, group: str = "") -> Example:
    """The review as a prompt that its sentiment answers."""
    text = review.text.strip()
    prompt = f"### Text: {text}\n\n### Question: What is the sentiment of the given text?\n\n### Sentiment:"
    return Example(prompt, LABELS[review.label], text=text, group=group)


def partition(
    reviews: Iterable[Review], group_of: Callable[[Review], str]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Forget examples (those with a group) and retain examples (those without)."""
    forget: list[Example] = []
    retain: list[Example] = []
    for review in reviews:
        group = group_of(review)
        (forget if group else retain).append(sentiment_example(review, group))
    return tuple(forget), tuple(retain)


def load_reviews(source: DataSource, dataset: HubDataset, split: str, column: str = "text") -> list[Review]:
    """The reviews of one split of a data set; a missing text becomes an empty one.

    Raises:
        UserError: a label is not 0 or 1.
    """
    frame = source.load(dataset, split, (column, "label"))
    for row, label in enumerate(frame["label"]):
        if label not in (0, 1):
            raise UserError(
                f"data set {dataset.path}, split {split!r}, row {row}: the label is {label!r}, but must be 0 "
                "(negative) or 1 (positive)."
            )
    texts = [text if isinstance(text, str) else "" for text in frame[column]]
    return [Review(text, int(label)) for text, label in zip(texts, frame["label"], strict=True)]


def authors_splits(
    source: DataSource,
    dataset: HubDataset,
    provenance: dict[str, str],
    keep: Callable[[Review], bool] = lambda review: True,
) -> Splits:
    """The four splits that the paper's authors published, without reviews for which `keep` is false."""

    def examples(split: str, group: str = "") -> tuple[Example, ...]:
        return tuple(
            sentiment_example(review, group) for review in load_reviews(source, dataset, split) if keep(review)
        )

    splits = Splits(
        examples("train_forget", AUTHORS_GROUP),
        examples("train_retain"),
        examples("test_forget", AUTHORS_GROUP),
        examples("test_retain"),
        provenance=provenance,
    )
    return settled(splits, published=True)
