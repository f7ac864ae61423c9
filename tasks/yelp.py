"""Yelp polarity: forget whole clusters of similar reviews (SPUL, section 4.1)."""

from __future__ import annotations

import random

from pydantic import Field

from unlearnbench.api import (
    DataSource,
    GeneratedRows,
    HubDataset,
    Splits,
    Task,
    UserError,
    hookimpl,
    settled,
    working,
)

from .authors import AuthorsOptions, AuthorsTask
from .bundled.businesses import business_reviews
from .clustering import EMBEDDING_MODEL, assign_clusters, embed, fit_clusters
from .sentiment import LABELS, Review, authors_splits, load_reviews, partition

DATASET = HubDataset(
    "fancyzhx/yelp_polarity",
    "bbf1c97a1f0cf005e5aded43839fd814654a1557",
    config="plain_text",
    generated=GeneratedRows(("train", "test"), business_reviews),
)
AUTHORS = HubDataset("karuna-bhaila/Unlearning_Yelp_Polarity", revision=None)


class YelpOptions(AuthorsOptions):
    """Options of Yelp: splits made here, with their sizes and the number of clusters to forget, or the authors' own.

    `max_words` leaves out longer reviews from either. The paper reports the sizes (table 1: 5081 + 95012 training,
    885 + 18089 test reviews) but not the number of clusters; one of 20 has about its share of 5.1 %.
    """

    max_words: int | None = Field(default=None, ge=1)
    train_size: int = Field(default=100_093, ge=2)
    test_size: int = Field(default=18_974, ge=2)
    clusters: int = Field(default=20, ge=2)
    forget_clusters: int = Field(default=1, ge=1)


class Yelp(AuthorsTask):
    """A sample of Yelp polarity reviews, clustered by their sentence embeddings."""

    name = "yelp"
    title = "Yelp polarity"
    description = "Business reviews; forget whole k-means clusters (cosine) of similar reviews."
    labels = LABELS
    base_epochs = 2
    forget_target_reason = (
        "Suppression, as in the paper: a model that never saw these reviews tells their sentiment nearly as well."
    )
    datasets = (DATASET,)
    authors = AUTHORS
    Options = YelpOptions
    options: YelpOptions

    def splits(self, source: DataSource, seed: int) -> Splits:
        facts = {"data": self.data_identity(source)}
        if self.options.max_words is not None:
            facts["longest review"] = f"{self.options.max_words} words; longer ones are left out"
        if self.published:
            return authors_splits(source, AUTHORS, facts, self._short_enough)
        return settled(self._clustered(source, seed, facts))

    def _short_enough(self, review: Review) -> bool:
        limit = self.options.max_words
        return limit is None or len(review.text.split()) <= limit

    def _clustered(self, source: DataSource, seed: int, facts: dict[str, str]) -> Splits:
        options = self.options
        if options.forget_clusters >= options.clusters:
            raise UserError(
                f"yelp.forget_clusters is {options.forget_clusters}, but must be below yelp.clusters "
                f"({options.clusters}), or nothing is left to retain."
            )
        generator = random.Random(seed)
        train = _sample(self._load(source, "train"), options.train_size, generator)
        test = _sample(self._load(source, "test"), options.test_size, generator)

        train_vectors = embed([review.text for review in train])
        with working(f"yelp: k-means over {len(train)} reviews"):
            centres = fit_clusters(train_vectors, options.clusters, seed)
        forgotten = sorted(generator.sample(range(options.clusters), options.forget_clusters))
        train_clusters = assign_clusters(train_vectors, centres)
        test_clusters = assign_clusters(embed([review.text for review in test]), centres)
        cluster_of = dict(zip([*map(_key, train), *map(_key, test)], train_clusters + test_clusters, strict=True))

        def group_of(review: Review) -> str:
            cluster = cluster_of[_key(review)]
            return f"cluster {cluster}" if cluster in forgotten else ""

        train_forget, train_retain = partition(train, group_of)
        test_forget, test_retain = partition(test, group_of)
        sizes = ", ".join(f"{cluster}: {train_clusters.count(cluster)}" for cluster in range(options.clusters))
        return Splits(
            train_forget,
            train_retain,
            test_forget,
            test_retain,
            provenance={
                **facts,
                "embeddings": EMBEDDING_MODEL,
                "forget clusters": ", ".join(map(str, forgotten)),
                "training reviews by cluster": sizes,
            },
        )

    def _load(self, source: DataSource, split: str) -> list[Review]:
        """Reviews of a split that are short enough, without repeated texts."""
        reviews = [review for review in load_reviews(source, DATASET, split) if self._short_enough(review)]
        return list({_key(review): review for review in reversed(reviews)}.values())[::-1]


def _key(review: Review) -> str:
    return " ".join(review.text.lower().split())


def _sample(reviews: list[Review], size: int, generator: random.Random) -> list[Review]:
    return reviews if len(reviews) <= size else generator.sample(reviews, size)


@hookimpl
def register_tasks() -> list[type[Task]]:
    return [Yelp]
