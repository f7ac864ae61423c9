"""The commands around leaderboards, on the results of a real small run."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import invoke
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.check import check_entries
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.tracking.store import Store

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"


@pytest.fixture
def results(model_folder: Path, data_folder: Path, tmp_path: Path) -> Path:
    """Two methods, two seeds, two trials."""
    folder = tmp_path / "results"
    outcome = invoke(
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--results", folder, "--methods", "ga,spul",
        "--seeds", "0,1", "--trials", 2, "--set", "base.kind=lora", "--set", "base.epochs=1", "--set", "spul.epochs=1",
        "--quiet",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    return folder


@pytest.mark.slow
def test_one_run_becomes_every_kind_of_leaderboard(results: Path, tmp_path: Path) -> None:
    entries = open_entries(str(results))
    assert check_entries(entries) == []
    spul = next(entry for entry in entries if entry.row == "spul")
    assert [trial.number for trial in spul.trials] == [0, 1]
    assert all(trial.objective is not None for trial in spul.trials)
    assert spul.config is not None
    assert spul.config["methods"] == ["spul"]
    assert "results" not in spul.config

    outcome = invoke("leaderboard", "--results", results, "--html", "--sort", "test retain acc")
    assert outcome.exit_code == 0, outcome.output
    html = (results / "leaderboard.html").read_text(encoding="utf-8")
    assert "unlearnbench run --config cell.yaml" in html
    assert "indeed" in html  # the texts of test examples
    assert "95 % interval" in (results / "leaderboard.md").read_text(encoding="utf-8")
    assert "indeed" not in (results / "leaderboard.json").read_text(encoding="utf-8")

    # A results folder that was moved still knows its predictions.
    moved = tmp_path / "moved"
    shutil.move(results, moved)
    assert open_entries(str(moved)) == entries

    same = invoke("compare", moved, moved / "leaderboard.json", "--fail-if-worse", "--format", "json")
    assert same.exit_code == 0, same.output
    assert all(record["difference"] == 0 for record in json.loads(same.output)["differences"])

    lost = json.loads((moved / "leaderboard.json").read_text(encoding="utf-8"))
    for entry in lost["entries"]:
        if entry["identity"]["row"] == "spul":
            entry["metrics"]["test_retain_accuracy"] = 0.0
            entry["right"]["test_retain"] = "0" * len(entry["right"]["test_retain"])
    other = tmp_path / "other.json"
    other.write_text(json.dumps(lost), encoding="utf-8")
    worse = invoke("compare", moved, other, "--fail-if-worse", "--output", tmp_path / "compared.md")
    had_retained = any(e.row == "spul" and e.metrics["test_retain_accuracy"] > 0 for e in entries)
    assert worse.exit_code == (1 if had_retained else 0), worse.output
    assert "| SPUL |" in (tmp_path / "compared.md").read_text(encoding="utf-8")

    merged = invoke(
        "leaderboard", "merge", moved, moved / "leaderboard.json", "--output", tmp_path / "merged", "--html"
    )
    assert merged.exit_code == 0, merged.output
    assert merged.output.count("duplicate:") == len(entries)
    checked = invoke("leaderboard", "check", tmp_path / "merged")
    assert (checked.exit_code, "there is no config.yaml" in checked.output) == (1, True)
    settings = tmp_path / "merged" / "config.yaml"
    for text, code, said in (
        ("preset: quick", 0, "nothing wrong"),
        ("trails: 3", 1, "unknown setting 'trails'"),
        ("data_root: /home/ada/hub", 1, "config.yaml holds the path '/home/ada/hub'"),
    ):
        settings.write_text(text, encoding="utf-8")
        checked = invoke("leaderboard", "check", tmp_path / "merged")
        assert (checked.exit_code, said in checked.output) == (code, True), checked.output


@pytest.mark.slow
def test_cell_runs_again_from_its_recorded_settings(results: Path, tmp_path: Path) -> None:
    """From the file beside its predictions, which has settings as given; what is shared has names in place of paths."""
    entry = next(entry for entry in open_entries(str(results)) if entry.row == "spul" and entry.seed == 1)
    run_id = Store(results).finished_cells()[entry.key].info.run_id
    again = tmp_path / "again"
    config = results / "artifacts" / run_id / "artifacts" / "config.yaml"
    assert invoke("run", "--config", config, "--results", again).exit_code == 0
    repeated = next(one for one in open_entries(str(again)) if one.row == "spul")
    assert repeated.key == entry.key
    assert repeated.right == entry.right


def test_check_names_files_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"schema_version": 1, "entries": [{}]}', encoding="utf-8")
    outcome = invoke("leaderboard", "check", tmp_path / "bad.json", tmp_path / "none.json")
    assert outcome.exit_code == 1
    assert "bad.json: " in outcome.output
    assert "none.json is no results folder" in outcome.output


@pytest.mark.parametrize("folder", sorted(LEADERBOARDS.glob("*/")), ids=lambda folder: folder.name)
def test_contributed_leaderboards_hold(folder: Path) -> None:
    outcome = invoke("leaderboard", "check", folder)
    assert (outcome.exit_code, "nothing wrong" in outcome.output) == (0, True), outcome.output


@pytest.mark.parametrize(
    ("file", "text", "part"),
    [
        ("config.yaml", "tasks: ['path:/home/ada/texts.csv']", "the path '/home/ada/texts.csv'"),
        ("config.yaml", "tracking_uri: https://ada:s3cret-words@host/", "a password or token"),
        ("README.md", "Ask ada@example.org.", "the address 'ada@example.org'"),
    ],
)
def test_check_looks_at_the_other_texts_of_a_folder(file: str, text: str, part: str, tmp_path: Path) -> None:
    folder = tmp_path / "quick"
    shutil.copytree(LEADERBOARDS / "quick", folder)
    (folder / file).write_text(text, encoding="utf-8")
    outcome = invoke("leaderboard", "check", folder)
    assert outcome.exit_code == 1
    assert f"{file} holds {part}" in outcome.output
    assert "s3cret" not in outcome.output


def test_schema_is_printed() -> None:
    assert "schema_version" in json.loads(invoke("leaderboard", "schema").output)["properties"]


@pytest.mark.slow
def test_ui_serves_mlflow(results: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "unlearnbench", "ui", "--results", str(results), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("MLflow did not answer within a minute")
    finally:
        import os
        import signal

        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def test_ui_without_results_says_what_to_do(tmp_path: Path) -> None:
    outcome = invoke("ui", "--results", tmp_path)
    assert isinstance(outcome.exception, UserError)
    assert "holds no results" in str(outcome.exception)


def test_a_leaderboard_in_place_of_results_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.json").write_text("{}", encoding="utf-8")
    outcome = invoke("leaderboard", "--html", "--results", tmp_path)
    assert isinstance(outcome.exception, UserError)
    assert f"leaderboard merge {tmp_path} --html --output FOLDER" in str(outcome.exception)
