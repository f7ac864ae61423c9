"""Results folders of strangers: one junk file or run does not take the other results away."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pandas as pd
import pytest

from tests.leaderboard.entries import ENTRIES
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.stored import read_entries, read_examples
from unlearnbench.tracking.store import KEY, RESULT, TRAINING, Store


def record_entry(store: Store, entry: Entry, scratch: Path) -> str:
    """Records an entry as a run does; returns the id of its run."""
    folder = scratch / entry.row
    (folder / "predictions").mkdir(parents=True)
    for name, flags in entry.right.items():
        answers = ["yes"] * len(flags)
        predicted = ["yes" if flag == "1" else "no" for flag in flags]
        texts = [f"row {number}" for number in range(len(flags))]
        frame = pd.DataFrame({"text": texts, "group": "", "answer": answers, "predicted": predicted})
        frame["log_probability"] = [-0.5 * number for number in range(len(flags))]
        frame.to_parquet(folder / "predictions" / f"{name}.parquet")
    (folder / RESULT).write_text(entry.model_dump_json(), encoding="utf-8")
    with store.record("cell", entry.name, tags={KEY: entry.key, TRAINING: entry.identity.training}) as record:
        record.artifacts(folder)
    return record.run_id


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, str]:
    """A results folder with four results: ids of its runs by row."""
    store = Store(tmp_path / "results")
    return {entry.row: record_entry(store, entry, tmp_path / "files") for entry in ENTRIES}


def test_runs_that_name_no_cell_leave_the_others(
    runs: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "results")
    for run_id in (runs["ga"], runs["base"]):
        store.client.delete_tag(run_id, KEY)
    store.client.set_terminated(runs["base"], "FAILED")
    with caplog.at_level(logging.WARNING):
        entries = read_entries(Store.existing(tmp_path / "results"))
    assert {entry.row for entry in entries} == {"vanilla", "spul"}
    assert f"MLflow run {runs['ga']} is left out, as it does not say which cell it is" in caplog.messages
    assert store.failed_cells() == {}


JUNK = {
    "not JSON": b"{[: \xff",
    "a list": b"[1, 2]",
    "deep": b"[" * 300_000,
    "nothing": b"",
    "another object": b'{"schema_version": 2}',
}


@pytest.mark.parametrize("junk", JUNK)
def test_one_junk_result_leaves_the_others(
    runs: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, junk: str
) -> None:
    (tmp_path / "results" / "artifacts" / runs["ga"] / "artifacts" / RESULT).write_bytes(JUNK[junk])
    with caplog.at_level(logging.WARNING):
        entries = read_entries(Store.existing(tmp_path / "results"))
    assert {entry.row for entry in entries} == {"vanilla", "base", "spul"}
    (record,) = caplog.records
    assert f"MLflow run {runs['ga']} is left out" in record.message
    assert "\n" not in record.message


def test_junk_predictions_cost_their_examples_alone(
    runs: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "results" / "artifacts" / runs["ga"] / "artifacts" / "predictions" / "test_retain.parquet"
    file.write_bytes(b"PAR1 nothing PAR1")
    store = Store.existing(tmp_path / "results")
    with caplog.at_level(logging.WARNING):
        shown = read_examples(store)
    keys = {entry.row: entry.key for entry in read_entries(store)}
    assert {one.split for one in shown[keys["ga"]]} == {"test forget"}
    assert {one.split for one in shown[keys["spul"]]} == {"test forget", "test retain"}
    assert "is left out, as it does not hold predictions" in caplog.text


def test_text_that_a_terminal_would_obey_is_spelt(runs: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "results" / "artifacts" / runs["spul"] / "artifacts" / RESULT
    loaded = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(loaded | {"title": "\x1b[2J"}), encoding="utf-8")
    entries = read_entries(Store.existing(tmp_path / "results"))
    assert [entry.title for entry in entries if entry.row == "spul"] == [r"\x1b[2J"]
