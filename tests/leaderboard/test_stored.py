"""Results folders of strangers: one junk file or run does not take the other results away."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from tests.leaderboard.entries import ENTRIES
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.stored import read_entries
from unlearnbench.tracking import KEY, Store


def record_entry(store: Store, entry: Entry, scratch: Path) -> str:
    """Records an entry as a run does; returns the id of its run."""
    tags = {
        KEY: entry.key, "model": entry.model, "model.revision": "r", "task": entry.task, "row": entry.row,
        "title": entry.title, "plugin": "", "seed": "any" if entry.seed is None else str(entry.seed),
        "block": entry.block,
        "data.fingerprint": "f", "data.source": "made up", "trials": "2", "preset": "quick", "hardware.cpu": "some",
        **{f"size.{name}": str(size) for name, size in entry.data.sizes.items()},
        **{f"version.{name}": version for name, version in entry.versions.items()},
    }  # fmt: skip
    folder = scratch / entry.row
    (folder / "predictions").mkdir(parents=True)
    for name, flags in entry.right.items():
        answers = ["yes"] * len(flags)
        predicted = ["yes" if flag == "1" else "no" for flag in flags]
        frame = pd.DataFrame({"text": answers, "answer": answers, "predicted": predicted})
        frame.to_parquet(folder / "predictions" / f"{name}.parquet")
    (folder / "config.yaml").write_text("tasks: [sst2]\nmodels: [m]\nseeds: [0]\n", encoding="utf-8")
    with store.record("cell", entry.name, tags=tags) as record:
        record.metrics(entry.metrics)
        record.artifacts(folder)
    return record.run_id


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, str]:
    """A results folder with four results: ids of its runs by row."""
    store = Store(tmp_path / "results")
    return {entry.row: record_entry(store, entry, tmp_path / "files") for entry in ENTRIES}


JUNK = {
    "not YAML": ("config.yaml", b"{[: \xff"),
    "a list": ("config.yaml", b"[1, 2]"),
    "deep": ("config.yaml", b"[" * 3000),
    "huge number": ("config.yaml", b"a: " + b"9" * 5000),
    "an object": ("config.yaml", b"!!python/object/apply:os.system [id]"),
    "no parquet": ("predictions/test_retain.parquet", b"PAR1 nothing PAR1"),
}


@pytest.mark.parametrize("junk", JUNK)
def test_one_junk_file_leaves_all_results(
    runs: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, junk: str
) -> None:
    name, content = JUNK[junk]
    (tmp_path / "results" / "artifacts" / runs["ga"] / "artifacts" / name).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        entries = read_entries(Store.existing(tmp_path / "results"))
    assert {entry.row for entry in entries} == set(runs)
    (ga,) = [entry for entry in entries if entry.row == "ga"]
    assert (ga.config is None) == (name == "config.yaml")
    assert ("test_retain" not in ga.right) == name.startswith("predictions")
    (record,) = caplog.records
    assert "is left out" in record.message
    assert "\n" not in record.message


def test_one_junk_run_leaves_the_other_results(
    runs: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(tmp_path / "results" / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE tags SET value = 'many' WHERE key = 'trials' AND run_uuid = ?", (runs["ga"],))
        connection.execute("UPDATE tags SET value = ? WHERE key = 'title' AND run_uuid = ?", ("\x1b[2J", runs["spul"]))
    with caplog.at_level(logging.WARNING):
        entries = read_entries(Store.existing(tmp_path / "results"))
    assert {entry.row for entry in entries} == {"vanilla", "base", "spul"}
    assert [entry.title for entry in entries if entry.row == "spul"] == [r"\x1b[2J"]
    assert f"MLflow run {runs['ga']} is left out" in caplog.text
