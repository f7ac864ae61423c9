"""A leaderboard that is run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import invoke
from unlearnbench.errors import UserError

QUICK = Path(__file__).parents[2] / "leaderboards" / "quick"


@pytest.fixture
def committed(model_folder: Path, data_folder: Path, tmp_path: Path) -> Path:
    """A leaderboard of two methods and two seeds; values are found on seed 1, which was named first."""
    done = invoke(
        "run", "--models", model_folder, "--tasks", f"path:{data_folder}", "--methods", "ga,spul", "--seeds", "1,0",
        "--trials", "2", "--set", "tuning.scope=grid", "--set", "base.kind=full", "--set", "base.epochs=2", "--set",
        "base.learning_rate=0.003", "--set", "spul.epochs=2", "--results", tmp_path / "results", "--quiet",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert invoke("leaderboard", "--results", tmp_path / "results", "--output", tmp_path / "board").exit_code == 0
    (tmp_path / "board" / "config.yaml").write_text("preset: quick\n", encoding="utf-8")
    return tmp_path / "board"


@pytest.mark.slow
def test_leaderboard_comes_back_exactly_and_a_wrong_one_does_not(committed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    # A row alone, of a seed that takes another one's values: that one is run as well.
    text = (committed / "leaderboard.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text, "paths of this machine"
    assert invoke("leaderboard", "check", committed).exit_code == 0
    done = invoke("reproduce", committed, "--results", again)
    assert isinstance(done.exception, UserError)
    assert "is not here: say with --at toy-data=PATH" in str(done.exception)
    at = ["--at", f"toy-data={tmp_path / 'toy-data'}", "--at", f"tiny-llama={tmp_path / 'tiny-llama'}"]
    done = invoke("reproduce", committed, *at, "--row", "spul", "--seeds", "0", "--results", again, "--exactly")
    assert done.exit_code == 0, done.output
    assert "3 cells to run" in done.output
    assert "No version differs." in done.output
    assert "Processor, device and threads are those of then." in done.output
    # All of it goes on from there, and every number is the same.
    done = invoke("reproduce", committed, *at, "--results", again, "--exactly")
    assert done.exit_code == 0, done.output
    assert "4 cells to run, 3 finished before" in done.output
    assert "0 within their intervals, 0 outside" in done.output
    table = (again / "reproduction.md").read_text(encoding="utf-8").splitlines()
    lines = [line for line in table if " / spul | " in line]
    assert len(lines) > 20
    assert all(line.endswith("| exactly |") for line in lines)

    # A leaderboard that claims what its configuration does not give.
    file = json.loads((committed / "leaderboard.json").read_text(encoding="utf-8"))
    for entry in file["entries"]:
        if entry["identity"]["row"] == "base":
            wrong = 1 - entry["metrics"]["test_retain_accuracy"]
            flags = entry["right"]["test_retain"]
            entry["right"]["test_retain"] = flags.translate(str.maketrans("01", "10"))
            entry["metrics"]["test_retain_accuracy"] = wrong
    (committed / "leaderboard.json").write_text(json.dumps(file), encoding="utf-8")
    done = invoke("reproduce", committed, *at, "--results", again, "--exactly", "--quiet")
    assert done.exit_code == 1, done.output
    assert "0 cells to run, 7 finished before" in done.output


def test_plan_of_a_committed_row(tmp_path: Path) -> None:
    done = invoke(
        "reproduce", QUICK, "--row", "spul", "--tasks", "sst2", "--seeds", "4", "--results", tmp_path, "--dry-run"
    )
    assert done.exit_code == 0, done.output
    # The base model and the soft prompt of seed 4, and the tuning on seed 0.
    assert "3 cells to run" in done.output


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "unlearnbench", "reproduce", str(QUICK), "--row", "spull"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=False)
    assert done.returncode == 2
    assert "the leaderboard has no row 'spull'" in done.stderr
    assert not list(tmp_path.iterdir())
