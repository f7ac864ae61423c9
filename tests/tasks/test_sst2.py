"""SST-2: names, the split, the data file."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from unlearnbench_tasks.find_personalities import choose
from unlearnbench_tasks.sst2 import PERSONALITIES, SST2, SST2Options, name_pattern

from tests.conftest import invoke
from unlearnbench.contract.source import DataSource
from unlearnbench.data.checks import EMPTY, SHARED, check_splits
from unlearnbench.errors import UserError

CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: validation
    path: data/validation-*
---
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two hundred training and twenty validation reviews; every tenth names a chosen person."""
    folder = tmp_path / "hub" / "stanfordnlp" / "sst2"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    reviews = [f"review number {i} " + ("with Jackie Chan" if i % 10 == 0 else "with nobody") for i in range(220)]
    frame = pd.DataFrame({"idx": range(220), "sentence": reviews, "label": [i % 2 for i in range(220)]})
    frame[:200].to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    frame[200:].to_parquet(folder / "data" / "validation-00000-of-00001.parquet")
    return tmp_path / "hub"


def test_pooled_reviews_are_split_seventy_to_thirty_and_forgotten_by_name(root: Path) -> None:
    splits = check_splits("sst2", SST2().splits(DataSource(root), seed=0), "error")
    sizes = {name: len(examples) for name, examples in splits.items()}
    assert sizes["train_forget"] + sizes["train_retain"] == round(220 * 47756 / 68221)
    assert sum(sizes.values()) == 220
    assert sizes["train_forget"] + sizes["test_forget"] == 22
    assert all("jackie chan" in e.text.lower() and e.group == "jackie chan" for e in splits.train_forget)
    assert not any("jackie chan" in e.text.lower() or e.group for e in splits.test_retain)
    assert {e.answer for e in splits.train_retain} == {"negative", "positive"}
    assert splits.train_retain[0].prompt.endswith(
        "\n\n### Question: What is the sentiment of the given text?\n\n### Sentiment:"
    )


def test_splits_depend_on_the_seed(root: Path) -> None:
    source = DataSource(root)
    assert SST2().splits(source, 0) == SST2().splits(source, 0)
    assert SST2().splits(source, 0) != SST2().splits(source, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("JACKIE CHAN shines", True),
        ("a jackie chan's trick", True),
        ("-jackie chan-", True),
        ("jackie chandler", False),
        ("blackjackie chan", False),
        ("jackie", False),
        ("mr. o'neil", True),
    ],
)
def test_names_match_as_whole_words_in_any_case(text: str, found: bool) -> None:
    assert bool(name_pattern(["jackie chan", "o'neil"]).search(text)) is found


def test_data_file_is_a_list_of_lower_case_names_without_the_excluded() -> None:
    sets = json.loads(PERSONALITIES.read_text(encoding="utf-8"))
    names = sets["v1"]["names"]
    assert len(names) == len(set(names)) > 100
    assert all(name == name.lower().strip() for name in names)
    assert not set(names) & set(sets["v1"]["excluded"])


def test_unknown_set_of_personalities_is_reported() -> None:
    with pytest.raises(UserError, match="sst2.personalities is 'v9'"):
        SST2(SST2Options(personalities="v9")).personalities()


def test_names_are_chosen_until_the_share_is_reached() -> None:
    texts = ["ann bee here"] * 2 + ["carl dee here"] * 3 + ["nobody"] * 5
    assert choose(["ann bee", "carl dee"], texts, share=0.2) == ["ann bee"]
    assert choose(["ann bee", "carl dee"], texts, share=0.3) == ["ann bee", "carl dee"]


def authors_root(tmp_path: Path, name: str, columns: dict[str, list[object]]) -> Path:
    """Made-up rows laid out as the authors' splits, three a split; one retain text is in both training and test."""
    folder = tmp_path / "hub" / "karuna-bhaila" / name
    folder.mkdir(parents=True)
    files = ""
    for split in ("train_forget", "train_retain", "test_forget", "test_retain"):
        frame = pd.DataFrame({**columns, "text": [f"{split} {i}" for i in range(3)]})
        if split.endswith("retain"):
            frame.loc[0, "text"] = "in Both"
        frame.to_csv(folder / f"v3_{split}.csv", index=False)
        files += f"  - split: {split}\n    path: v3_{split}.csv\n"
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return tmp_path / "hub"


SENTIMENT = {"label": [0, 1, 1], "label_text": ["negative", "positive", "positive"]}


def test_authors_splits_are_read_unchanged(tmp_path: Path) -> None:
    root = authors_root(tmp_path, "Unlearning_SST2v3", SENTIMENT)
    task = SST2(SST2Options(split="authors"))
    splits = check_splits("sst2", task.splits(DataSource(root), seed=0), "error", published=task.published)
    assert {name: len(examples) for name, examples in splits.items()} == dict.fromkeys(dict(splits.items()), 3)
    assert [e.text for e in splits.train_forget] == ["train_forget 0", "train_forget 1", "train_forget 2"]
    assert [e.answer for e in splits.test_retain] == ["negative", "positive", "positive"]
    assert all(e.group for e in splits.test_forget)
    assert not any(e.group for e in splits.train_retain)
    assert splits.provenance[SHARED] == "1 (left in, as published)"
    assert splits.provenance["data"].startswith("karuna-bhaila/Unlearning_SST2v3@folder:")
    assert splits == check_splits("sst2", task.splits(DataSource(root), seed=1), "error", published=True)


def test_data_show_counts_the_whole_task_and_what_a_run_sees(tmp_path: Path) -> None:
    root = authors_root(tmp_path, "Unlearning_SST2v3", SENTIMENT)
    shown = invoke(
        "data", "show", "sst2", "--data-root", root, "--set", "sst2.split=authors", "--max-train", 2, "--samples", 0
    )
    assert shown.exit_code == 0, shown.output
    rows = [line.replace("│", " ").split()[:3] for line in shown.output.splitlines() if line.startswith("│ t")]
    assert rows == [
        ["train_forget", "3", "2"],
        ["train_retain", "3", "2"],
        ["test_forget", "3", "3"],
        ["test_retain", "3", "3"],
    ]
    assert "1 (left in, as published)" in shown.output


def test_data_show_uses_the_sizes_of_the_preset_as_a_run_does() -> None:
    shown = invoke("data", "show", "sst2", "--preset", "quick", "--samples", 0)
    rows = [line.replace("│", " ").split()[:3] for line in shown.output.splitlines() if line.startswith("│ t")]
    assert [row[2] for row in rows if row[0].endswith("retain")] == ["256", "160"]


def test_invalid_label_is_reported(tmp_path: Path) -> None:
    root = authors_root(tmp_path, "Unlearning_SST2v3", {**SENTIMENT, "label": [0, -1, 1]})
    with pytest.raises(UserError, match="split 'train_forget', row 1: the label is -1, but must be 0"):
        SST2(SST2Options(split="authors")).splits(DataSource(root), 0)


def test_empty_reviews_are_left_out(root: Path) -> None:
    file = root / "stanfordnlp" / "sst2" / "data" / "train-00000-of-00001.parquet"
    frame = pd.read_parquet(file)
    frame.loc[3, "sentence"] = None
    frame.loc[5, "sentence"] = " "
    frame.to_parquet(file)
    splits = check_splits("sst2", SST2().splits(DataSource(root), seed=0), "error")
    assert sum(len(examples) for _, examples in splits.items()) == 218
    assert splits.provenance[EMPTY] == "2"
