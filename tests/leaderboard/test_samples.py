"""Every single answer as a table: what the files hold, and nothing that they do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import unlearnbench
from tests.leaderboard.entries import ENTRIES
from tests.leaderboard.test_stored import record_entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.files import to_csv, to_json
from unlearnbench.tracking.store import Store

TEXT = ["text", "group", "answer", "predicted", "log_probability"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with four results."""
    store = Store(tmp_path / "results")
    for entry in ENTRIES:
        record_entry(store, entry, tmp_path / "files")
    return tmp_path / "results"


def test_results_folder_gives_every_stored_answer(results: Path) -> None:
    samples = unlearnbench.load_samples(results)
    assert len(samples) == sum(len(flags) for entry in ENTRIES for flags in entry.right.values())
    for entry in ENTRIES:
        for split, flags in entry.right.items():
            found = samples[(samples["row"] == entry.row) & (samples["split"] == split)]
            assert list(found["example"]) == list(range(len(flags)))
            assert list(found["right"]) == [flag == "1" for flag in flags]
            assert list(found["predicted"]) == ["yes" if flag == "1" else "no" for flag in flags]
            assert list(found["text"]) == [f"row {number}" for number in range(len(flags))]
            assert list(found["log_probability"]) == [-0.5 * number for number in range(len(flags))]
            assert set(found["key"]) == {entry.key}
    assert (set(samples["task"]), set(samples["model"])) == ({"sst2"}, {"m"})
    assert samples.loc[samples["row"] == "vanilla", "seed"].isna().all()
    assert set(samples.loc[samples["row"] == "ga", "seed"]) == {0}


def test_leaderboard_file_gives_the_same_flags_without_texts(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "leaderboard.json"
    file.write_text(to_json(ENTRIES), encoding="utf-8")
    stored, flags = unlearnbench.load_samples(results), unlearnbench.load_samples(str(file))
    assert list(flags.columns) == list(stored.columns)
    assert flags[TEXT].isna().all(axis=None)
    place = ["row", "split", "example"]
    pd.testing.assert_frame_equal(
        stored.drop(columns=TEXT).sort_values(place, ignore_index=True),
        flags.drop(columns=TEXT).sort_values(place, ignore_index=True),
    )


def test_results_whose_predictions_are_gone_keep_their_flags(results: Path) -> None:
    for file in results.rglob("test_forget.parquet"):
        file.unlink()
    samples = unlearnbench.load_samples(results)
    forget = samples[samples["split"] == "test_forget"]
    assert forget[TEXT].isna().all(axis=None)
    accuracies = {entry.row: entry.metrics["test_forget_accuracy"] for entry in ENTRIES}
    assert forget.groupby("row")["right"].mean().to_dict() == accuracies
    assert samples.loc[samples["split"] == "test_retain", "text"].notna().all()


def test_leaderboard_without_single_answers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "leaderboard.csv"
    file.write_text(to_csv(ENTRIES), encoding="utf-8")
    with pytest.raises(UserError, match=r"leaderboard\.csv holds no single answers: name a results folder"):
        unlearnbench.load_samples(file)
    with pytest.raises(UserError, match="is no results folder"):
        unlearnbench.load_samples(tmp_path / "nothing")


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, unlearnbench; sys.exit(bool({'pandas', 'pydantic', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'load_nothing'"):
        _ = unlearnbench.load_nothing
