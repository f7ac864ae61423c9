"""WMDP+SciQ and ARC: letters, shuffling, and odd option labels."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from unlearnbench_tasks.arc import ARCChallenge, arc_example
from unlearnbench_tasks.authors import AuthorsOptions
from unlearnbench_tasks.multiple_choice import published_example, shuffled_example
from unlearnbench_tasks.wmdp_sciq import WMDPSciQ

from tests.tasks.test_sst2 import authors_root
from unlearnbench.contract.source import DataSource
from unlearnbench.data.checks import SHARED, check_splits
from unlearnbench.errors import UserError


def card(config: str, *splits: str, folder: str = "data") -> str:
    files = "".join(f"  - split: {split}\n    path: {folder}/{split}-*\n" for split in splits)
    return f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{files}---\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    hub = tmp_path / "hub"
    sciq = hub / "allenai" / "sciq"
    (sciq / "data").mkdir(parents=True)
    (sciq / "README.md").write_text(card("default", "train", "validation", "test"), encoding="utf-8")
    for split, size in (("train", 40), ("validation", 10), ("test", 10)):
        frame = pd.DataFrame(
            {
                "question": [f"{split} question {i}?" for i in range(size)],
                "correct_answer": "right",
                "distractor1": "wrong one",
                "distractor2": "wrong two",
                "distractor3": "wrong three",
            }
        )
        frame.to_parquet(sciq / "data" / f"{split}-00000-of-00001.parquet")
    wmdp = hub / "cais" / "wmdp"
    (wmdp / "wmdp-bio").mkdir(parents=True)
    (wmdp / "README.md").write_text(card("wmdp-bio", "test", folder="wmdp-bio"), encoding="utf-8")
    questions = [f"hazard {i}?" for i in range(1273)]
    choices = [["no", "right", "never", "nope"]] * 1273
    frame = pd.DataFrame({"question": questions, "choices": choices, "answer": 1})
    frame.to_parquet(wmdp / "wmdp-bio" / "test-00000-of-00001.parquet")
    return hub


def test_sizes_are_the_papers_and_options_are_shuffled(root: Path) -> None:
    splits = check_splits("wmdp-sciq", WMDPSciQ().splits(DataSource(root), seed=0), "error")
    assert [len(examples) for _, examples in splits.items()] == [900, 50, 373, 10]
    counts = Counter(e.answer for e in splits.train_forget)
    assert set(counts) == set("ABCD")
    assert min(counts.values()) > 150
    for example in (*splits.train_forget, *splits.train_retain):
        assert f"\n{example.answer}. right\n" in f"{example.prompt}\n"
        assert example.prompt.endswith("### Answer:")


def test_shuffling_follows_the_seed(root: Path) -> None:
    source = DataSource(root)
    assert WMDPSciQ().splits(source, 3) == WMDPSciQ().splits(source, 3)
    assert WMDPSciQ().splits(source, 3) != WMDPSciQ().splits(source, 4)


def test_shuffled_answer_points_at_the_right_option() -> None:
    for seed in range(20):
        example = shuffled_example("q?", ["a", "b", "c", "right"], 3, random.Random(seed))
        assert f"{example.answer}. right" in example.prompt


@pytest.mark.parametrize(
    ("options", "labels", "key", "answer"),
    [
        (["x", "y", "z"], ["A", "B", "C"], "C", "C"),
        (["x", "y", "z", "w"], ["1", "2", "3", "4"], "2", "B"),
        (["x", "y", "z", "w", "v"], ["A", "B", "C", "D", "E"], "E", "E"),
    ],
)
def test_arc_options_get_letters(options: list[str], labels: list[str], key: str, answer: str) -> None:
    example = arc_example("q?", options, labels, key)
    assert example.answer == answer
    assert f"{answer}. {options[labels.index(key)]}" in example.prompt
    assert example.answer in ARCChallenge.labels


def test_arc_key_that_is_not_an_option_is_reported() -> None:
    with pytest.raises(UserError, match="answer key '5'"):
        arc_example("q?", ["x", "y"], ["1", "2"], "5")


def test_questions_in_both_training_and_test_are_removed_from_training(root: Path) -> None:
    file = root / "allenai" / "sciq" / "data" / "train-00000-of-00001.parquet"
    frame = pd.read_parquet(file)
    frame.loc[:1, "question"] = ["Test question  4?", "test question 7?"]
    frame.to_parquet(file)
    splits = check_splits("wmdp-sciq", WMDPSciQ().splits(DataSource(root), seed=0), "error")
    assert [len(examples) for _, examples in splits.items()] == [900, 48, 373, 10]
    assert splits.provenance[SHARED] == "2 (left out of training)"


@pytest.mark.parametrize("letters", [True, False])
def test_authors_splits_keep_the_order_of_options(tmp_path: Path, letters: bool) -> None:
    columns: dict[str, list[object]] = {
        "choices": [["one", "two", "three", "four"]] * 3,
        "label": [0, 3, 1],
        "label_text": ["A", "D", "B"] if letters else ["one", "four", "two"],
    }
    root = authors_root(tmp_path, "Unlearning_WMDP", columns)
    task = WMDPSciQ(AuthorsOptions(split="authors"))
    splits = check_splits("wmdp-sciq", task.splits(DataSource(root), seed=0), "error", published=task.published)
    assert [example.answer for example in splits.test_forget] == ["A", "D", "B"]
    assert "\nA. one\nB. two\nC. three\nD. four\n" in splits.test_forget[1].prompt
    assert splits.provenance[SHARED] == "1 (left in, as published)"


@pytest.mark.parametrize(
    ("choices", "label", "label_text"),
    [
        (["one", "two"], 2, "C"),
        (["one", "two"], 1, "A"),
        (["one", "two"], -1, "B"),
        (["one", "two"], None, "A"),
        ("['one' 'two']", 1, "B"),
        ("no list", 0, "A"),
        (None, 0, "A"),
    ],
)
def test_inconsistent_published_questions_are_reported(choices: object, label: object, label_text: object) -> None:
    with pytest.raises(UserError, match=r"the question 'which\?' has \d options, label .* do not fit together"):
        published_example("which?", choices, label, label_text)


def test_answer_beyond_the_options_is_reported(root: Path) -> None:
    file = root / "cais" / "wmdp" / "wmdp-bio" / "test-00000-of-00001.parquet"
    frame = pd.read_parquet(file)
    frame.loc[7, "answer"] = 4
    frame.to_parquet(file)
    with pytest.raises(UserError, match=r"'hazard 7\?' of cais/wmdp has 4 options and the answer 4"):
        WMDPSciQ().splits(DataSource(root), seed=0)
