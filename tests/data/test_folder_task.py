"""The user's own data as four files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ToyTask
from unlearnbench.data.folder_task import FolderTask
from unlearnbench.errors import UserError


def test_jsonl_and_parquet_are_read_alike(data_folder: Path) -> None:
    expected = ToyTask().splits(None, 0)
    jsonl = FolderTask(data_folder)
    for name in ("train_forget", "test_retain"):
        path = data_folder / f"{name}.jsonl"
        pd.read_json(path, lines=True).to_parquet(data_folder / f"{name}.parquet")
        path.unlink()
    parquet = FolderTask(data_folder)
    for (name, theirs), (_, first), (_, second) in zip(
        expected.items(), jsonl._splits.items(), parquet._splits.items(), strict=True
    ):
        pairs = [(e.prompt, e.answer) for e in theirs]
        assert [(e.prompt, e.answer) for e in first] == pairs, name
        assert [(e.prompt, e.answer) for e in second] == pairs, name


def test_few_different_answers_are_labels_and_many_are_free_text(data_folder: Path) -> None:
    assert FolderTask(data_folder).labels == ("negative", "positive")
    rows = [json.dumps({"prompt": f"q{i}", "answer": f"answer {i}"}) for i in range(20)]
    (data_folder / "train_retain.jsonl").write_text("\n".join(rows), encoding="utf-8")
    assert FolderTask(data_folder).labels == ()


def test_identity_is_a_hash_of_the_files(data_folder: Path) -> None:
    before = FolderTask(data_folder).identity()
    path = data_folder / "test_forget.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("dull", "bright"), encoding="utf-8")
    assert FolderTask(data_folder).identity() != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no test_forget.csv, .tsv, .jsonl or .parquet .it has test_retain.jsonl, "),
        ("", "test_forget.jsonl has no rows: each of the four splits needs at least one"),
        ("not json", "test_forget.jsonl can't be read as jsonl"),
        ('{"prompt": "a", "label": "b"}', "has no column 'answer' .it has prompt, label"),
        ('{"prompt": "a", "answer": 3}', "row 0: answer is 3, but must be text"),
    ],
)
def test_bad_files_are_reported(data_folder: Path, content: str | None, message: str) -> None:
    path = data_folder / "test_forget.jsonl"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        FolderTask(data_folder)


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        FolderTask(tmp_path / "nowhere")


def test_error_for_a_folder_with_one_table_says_how_to_use_it(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("prompt,answer,forget\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"A single table is a task, too: path:.*reviews.csv"):
        FolderTask(tmp_path)
