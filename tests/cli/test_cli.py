"""The command line as a process: speed, exit codes, lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def unlearnbench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unlearnbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


@pytest.mark.slow
def test_wrong_name_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    outcome = unlearnbench("run", "--tasks", "ssst2", "--results", str(tmp_path / "results"))
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("error: no task is called 'ssst2'")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["tasks", "methods", "models", "plugins"])
def test_lists_name_origin_and_version(kind: str) -> None:
    outcome = unlearnbench("list", kind, "--json")
    assert outcome.returncode == 0
    entries = json.loads(outcome.stdout)
    further = {"tasks": {"target"}, "methods": {"needs", "aliases"}}.get(kind, set())
    assert all(set(entry) == {"name", "title", "origin", "version", "description"} | further for entry in entries)
    assert {"unlearnbench"} <= {entry["origin"] for entry in entries}
    assert all(entry["description"] for entry in entries)


def test_lists_show_targets_needs_and_other_names() -> None:
    tasks, methods = (
        {entry["name"]: entry for entry in json.loads(unlearnbench("list", kind, "--json").stdout)}
        for kind in ("tasks", "methods")
    )
    assert (tasks["sst2"]["target"], tasks["arc"]["target"]) == ("zero", "")
    assert methods["ga-gd"]["aliases"] == "GradDiff"
    assert methods["ga"]["needs"] == "nothing else; trains weights"
    assert methods["spul"]["needs"].startswith("retain rows and the base model's distributions; trains soft prompt")


def test_lists_and_help_import_nothing_heavy() -> None:
    program = (
        "import sys; from unlearnbench.cli import app\n"
        "for arguments in (['list', 'methods', '--json'], ['--help']):\n"
        "    try: app(arguments)\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'optuna', 'datasets', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_leaderboard_without_results_says_what_to_do(tmp_path: Path) -> None:
    outcome = unlearnbench("leaderboard", "--results", str(tmp_path / "nothing"))
    assert outcome.returncode == 2
    assert "holds no results: run `unlearnbench run" in outcome.stderr
    assert not (tmp_path / "nothing").exists()


@pytest.mark.slow
def test_data_show_prints_sizes_labels_and_samples(data_folder: Path) -> None:
    outcome = unlearnbench("data", "show", f"path:{data_folder}", "--samples", "1")
    assert outcome.returncode == 0, outcome.stderr
    for expected in ("train_forget", "positive 66.7 %", "fingerprint: ", "### Sentiment: ["):
        assert expected in outcome.stdout


@pytest.mark.slow
def test_unwritable_results_folder_is_named(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    outcome = unlearnbench(
        "run", "--tasks", f"path:{data_folder}", "--models", str(model_folder), "--results", str(blocked / "results")
    )
    assert outcome.returncode == 2
    assert "can't be written" in outcome.stderr
    assert "Traceback" not in outcome.stderr
