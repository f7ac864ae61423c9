"""Yelp: clusters, compared with an independent assignment; word counts replace the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import unlearnbench_tasks.yelp as yelp
from unlearnbench_tasks.clustering import assign_clusters, fit_clusters
from unlearnbench_tasks.yelp import Yelp, YelpOptions

from tests.tasks.test_sst2 import SENTIMENT, authors_root
from unlearnbench.contract.source import DataSource
from unlearnbench.data.checks import SHARED, check_splits
from unlearnbench.errors import UserError

TOPICS = ("pizza", "hotel", "garage", "haircut")
CARD = """---
configs:
- config_name: plain_text
  data_files:
  - split: train
    path: plain_text/train-*
  - split: test
    path: plain_text/test-*
---
"""


def embed_topics(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors that depend mostly on the topic."""
    vectors = np.array([[float(topic in text) for topic in TOPICS] + [len(text) % 7 / 50] for text in texts])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(yelp, "embed", embed_topics)
    folder = tmp_path / "hub" / "fancyzhx" / "yelp_polarity"
    (folder / "plain_text").mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    for split, size in (("train", 200), ("test", 60)):
        texts = [f"{split} review {i} of the {TOPICS[i % 4]}" for i in range(size)]
        frame = pd.DataFrame({"text": [*texts, texts[0]], "label": [i % 2 for i in range(size)] + [0]})
        frame.to_parquet(folder / "plain_text" / f"{split}-00000-of-00001.parquet")
    return tmp_path / "hub"


def test_whole_clusters_are_forgotten_in_training_and_test_alike(root: Path) -> None:
    task = Yelp(YelpOptions(clusters=4, forget_clusters=1))
    splits = check_splits("yelp", task.splits(DataSource(root), seed=0), "error")
    (forgotten,) = {topic for e in splits.train_forget for topic in TOPICS if topic in e.text}
    assert len(splits.train_forget) == 50
    assert len(splits.test_forget) == 15
    assert all(forgotten in e.text for e in splits.test_forget)
    assert not any(forgotten in e.text for e in (*splits.train_retain, *splits.test_retain))
    assert splits.provenance["forget clusters"] in splits.train_forget[0].group


def test_repeated_texts_count_once_and_sizes_are_options(root: Path) -> None:
    whole = Yelp(YelpOptions(clusters=4)).splits(DataSource(root), seed=0)
    assert len(whole.train_forget) + len(whole.train_retain) == 200
    sample = Yelp(YelpOptions(clusters=4, train_size=80, test_size=20)).splits(DataSource(root), seed=0)
    assert len(sample.train_forget) + len(sample.train_retain) == 80
    assert len(sample.test_forget) + len(sample.test_retain) == 20


def test_nearest_centre_by_cosine_distance() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(50, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centres = fit_clusters(vectors, 5, seed=0)
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    distances = [[1 - float(v @ c) / np.linalg.norm(v) / np.linalg.norm(c) for c in centres] for v in vectors]
    assert assign_clusters(vectors, centres) == [int(np.argmin(row)) for row in distances]


def test_impossible_cluster_counts_are_reported(root: Path) -> None:
    with pytest.raises(UserError, match="forget_clusters is 4, but must be below yelp.clusters"):
        Yelp(YelpOptions(clusters=4, forget_clusters=4)).splits(DataSource(root), 0)
    with pytest.raises(UserError, match="yelp.clusters is 500, but there are only 200"):
        Yelp(YelpOptions(clusters=500)).splits(DataSource(root), 0)


def test_texts_in_both_training_and_test_are_removed_from_training(root: Path) -> None:
    folder = root / "fancyzhx" / "yelp_polarity" / "plain_text"
    test = pd.read_parquet(folder / "test-00000-of-00001.parquet")
    train = pd.read_parquet(folder / "train-00000-of-00001.parquet")
    pd.concat([train, test[:3]]).to_parquet(folder / "train-00000-of-00001.parquet")
    splits = check_splits("yelp", Yelp(YelpOptions(clusters=4)).splits(DataSource(root), seed=0), "error")
    assert len(splits.train_forget) + len(splits.train_retain) == 200
    assert len(splits.test_forget) + len(splits.test_retain) == 60
    assert splits.provenance[SHARED] == "3 (left out of training)"


def test_long_reviews_are_left_out_and_that_is_recorded(root: Path) -> None:
    folder = root / "fancyzhx" / "yelp_polarity" / "plain_text"
    train = pd.read_parquet(folder / "train-00000-of-00001.parquet")
    train.loc[:9, "text"] += " and many words more"
    train.to_parquet(folder / "train-00000-of-00001.parquet")
    splits = Yelp(YelpOptions(clusters=4, max_words=6)).splits(DataSource(root), seed=0)
    assert len(splits.train_forget) + len(splits.train_retain) == 191  # one of the long ones has a short copy
    assert all(len(example.text.split()) <= 6 for _, examples in splits.items() for example in examples)
    assert splits.provenance["longest review"] == "6 words; longer ones are left out"


def test_the_authors_splits_need_no_clusters(tmp_path: Path) -> None:
    root = authors_root(tmp_path, "Unlearning_Yelp_Polarity", SENTIMENT)
    task = Yelp(YelpOptions(split="authors"))
    splits = check_splits("yelp", task.splits(DataSource(root), seed=0), "error", published=task.published)
    assert [len(examples) for _, examples in splits.items()] == [3, 3, 3, 3]
    assert splits.provenance[SHARED] == "1 (left in, as published)"
    short = Yelp(YelpOptions(split="authors", max_words=1)).splits(DataSource(root), seed=0)
    with pytest.raises(UserError, match="train_forget is empty"):
        check_splits("yelp", short, "error", published=True)


def test_error_for_missing_authors_splits_suggests_seeded_ones(root: Path) -> None:
    with pytest.raises(UserError, match=r"no folder karuna-bhaila/Unlearning_Yelp_Polarity.*--set yelp.split=seeded"):
        Yelp(YelpOptions(split="authors")).splits(DataSource(root), 0)
