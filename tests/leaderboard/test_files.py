"""Leaderboards written and read again."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.check import wrong
from unlearnbench.leaderboard.compare import why_not_comparable
from unlearnbench.leaderboard.entry import json_schema
from unlearnbench.leaderboard.files import from_csv, from_json, open_entries, to_csv, to_frame, to_json
from unlearnbench.leaderboard.grouping import group_entries
from unlearnbench.leaderboard.merge import merge_entries
from unlearnbench.leaderboard.write import write_leaderboard

SCHEMA = Path(__file__).parents[2] / "docs" / "leaderboard.schema.json"


def test_json_brings_everything_back() -> None:
    assert from_json(to_json(ENTRIES), "x.json") == ENTRIES


def test_csv_brings_numbers_and_facts_back(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(to_csv(ENTRIES), encoding="utf-8", newline="")
    bare = [one.model_copy(update={"config": None, "right": {}, "trials": ()}) for one in ENTRIES]
    assert from_csv(tmp_path / "x.csv") == bare


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-A1", "@SUM(1)", "'=1", "''"])
def test_no_cell_is_a_formula_and_all_come_back(text: str, tmp_path: Path) -> None:
    odd = entry("ga", 0.5, 0.9, title=text, hyperparameters={"learning_rate": "-1e-4", text: text}, preset=text)
    written = to_csv([odd])
    (tmp_path / "x.csv").write_text(written, encoding="utf-8", newline="")
    cells = [cell for line in csv.reader(io.StringIO(written)) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r", "\n"))]
    assert [cell for cell in cells if cell.startswith("-")] == ["-1e-4"]
    (found,) = from_csv(tmp_path / "x.csv")
    assert (found.title, found.preset, found.hyperparameters) == (odd.title, odd.preset, odd.hyperparameters)


def test_frame_starts_with_what_identifies_a_row() -> None:
    frame = to_frame(ENTRIES)
    assert list(frame.columns[:5]) == ["task", "model", "row", "title", "seed"]
    assert list(frame.row) == ["spul", "vanilla", "ga", "base"]
    assert frame.seed.isna().sum() == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ('{"schema_version": 3, "entries": []}', "has schema_version 3, but this unlearnbench reads 1 and 2"),
        ("[]", "has schema_version None"),
        ('{"schema_version": 2, "entries": [{}]}', "does not fit the schema: entries.0.identity"),
        ('{"schema_version": 1, "entries": [{}]}', "does not fit the schema: entries.0.key"),
        ('{"schema_version": 1, "entries": [], "more": 1}', "does not fit the schema: more is 1"),
    ],
)
def test_wrong_json_is_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", "\\(")):
        from_json(text, "x.json")


def test_wrong_numbers_are_refused() -> None:
    loaded = json.loads(to_json(ENTRIES[:1]))
    loaded["entries"][0]["metrics"]["test_forget_accuracy"] = "much"
    with pytest.raises(UserError, match="entries.0.metrics.test_forget_accuracy is 'much'"):
        from_json(json.dumps(loaded), "x.json")
    loaded["entries"][0]["metrics"]["test_forget_accuracy"] = float("nan")
    with pytest.raises(UserError, match="test_forget_accuracy is nan"):
        from_json(json.dumps(loaded), "x.json")


# Written by version 0.1: four rows of two tasks.
EARLIER = Path(__file__).with_name("version_1")


def test_files_of_version_one_keep_their_place() -> None:
    """The tables that they had, in JSON and CSV; and they are written again in today's form."""
    assert json.loads((EARLIER / "leaderboard.json").read_text(encoding="utf-8"))["schema_version"] == 1
    entries = open_entries(str(EARLIER))
    groups = group_entries(entries)
    assert [group.table.task for group in groups] == ["sst2", "wmdp-sciq"]
    for group in groups:
        assert set(group.rows) == {"vanilla", "base", "ga", "spul"}
        assert group.notes == ()
    assert [one.metrics for one in open_entries(str(EARLIER / "leaderboard.csv"))] == [one.metrics for one in entries]
    assert from_json(to_json(entries), "again.json") == entries


def earlier_file(**metrics: float) -> str:
    """A file of version 0.1 with one base model, evaluated on a transfer task."""
    today = entry("base", 0.9, 0.8, transfer={"arc": "rows"})
    kept = today.model_dump(
        mode="json",
        exclude={"schema_version", "identity", "config", "log_probabilities", "measures", "added", "utility", "needs"},
    )
    kept["metrics"] |= {"transfer_arc_examples": 10.0, "transfer_arc_f1": 0.8} | metrics
    named = {"key": "k", "task": "sst2", "model": "m", "row": "base", "seed": 0, "block": "b", "trial_budget": 0}
    return json.dumps({"schema_version": 1, "entries": [{**kept, **named, "model_revision": "r"}]})


def test_results_of_version_one_keep_their_transfer_tasks(tmp_path: Path) -> None:
    found = from_json(earlier_file(), "x.json")
    (block,) = build_blocks(found)
    assert block.transfers == ("arc",)
    assert block.lines[0].scores["transfer_arc_accuracy"].mean == pytest.approx(0.8)
    (tmp_path / "x.csv").write_text(to_csv(found), encoding="utf-8", newline="")
    assert [one.key for one in from_csv(tmp_path / "x.csv")] == [found[0].key]


@pytest.mark.parametrize("metric", ["train_retain_accuracy", "test_retain_f1", "transfer_arc_f1"])
def test_results_of_version_one_are_checked_like_others(metric: str) -> None:
    assert wrong(from_json(earlier_file(), "x.json")) == []
    assert any(f"{metric} is 5.0" in problem for problem in wrong(from_json(earlier_file(**{metric: 5.0}), "x.json")))


def test_contradicting_results_of_version_one_are_not_merged() -> None:
    rivals = {"one.json": 0.8, "two.json": 0.2}
    sources = {name: from_json(earlier_file(train_retain_accuracy=share), name) for name, share in rivals.items()}
    with pytest.raises(UserError, match="train_retain_accuracy is"):
        merge_entries(sources)


def test_results_of_two_versions_are_not_comparable() -> None:
    first = open_entries(str(EARLIER))[0]
    today = entry("base", 0.9, 0.9, task=first.task, model=first.model)
    reasons = why_not_comparable(first, today)
    assert any(reason.startswith("start differs (version 0.1, ") for reason in reasons)


def test_csv_that_is_something_else_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(UserError, match="x.csv, line 2, is no entry of a leaderboard"):
        open_entries(str(tmp_path / "x.csv"))


def test_sources_are_recognised(tmp_path: Path) -> None:
    write_leaderboard(ENTRIES, tmp_path)
    assert open_entries(str(tmp_path)) == open_entries(str(tmp_path / "leaderboard.json")) == ENTRIES
    assert len(open_entries(str(tmp_path / "leaderboard.csv"))) == len(ENTRIES)
    with pytest.raises(UserError, match="nothing is no results folder"):
        open_entries("nothing")
    with pytest.raises(UserError, match="all.db does not exist"):
        open_entries("sqlite:////nowhere/at/all.db")


def test_published_schema_is_the_current_one() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()


def test_nothing_to_write_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no cell has finished yet"):
        write_leaderboard([], tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be written"):
        write_leaderboard([entry("ga", 0.1, 0.9)], tmp_path / "file" / "folder")
