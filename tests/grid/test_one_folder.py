"""Several runs into one results folder: what is computed again, and in which tables the results stand."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from rich.console import Console

from tests.conftest import invoke
from unlearnbench.config import build_config
from unlearnbench.contract.metrics import Metric, Predictions
from unlearnbench.errors import UserError
from unlearnbench.grid.display import LogDisplay
from unlearnbench.grid.grid import build_grid
from unlearnbench.grid.repeat import repeats
from unlearnbench.grid.runner import Runner
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.leaderboard.grouping import group_entries
from unlearnbench.plugins import Origin, Registered, registry
from unlearnbench.tracking.store import KEY, TRAINING, Store

pytestmark = pytest.mark.slow


@pytest.fixture
def command(model_folder: Path, data_folder: Path, tmp_path: Path) -> list[object]:
    return [
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results", "--quiet",
        "--trials", 0, "--set", "base.kind=full", "--set", "base.epochs=2",
    ]  # fmt: skip


def test_two_base_models_make_two_tables_with_their_anchors(command: list[object], tmp_path: Path) -> None:
    assert invoke(*command, "--methods", "ga,ga-gd").exit_code == 0
    other = invoke(*command, "--methods", "ga", "--set", "base.epochs=1")
    assert other.exit_code == 0
    # The vanilla model is the same.
    assert "2 cells to run, 1 finished before" in other.output
    newer, older = group_entries(open_entries(str(tmp_path / "results")))
    assert set(newer.rows) == {"vanilla", "base", "ga"}
    assert set(older.rows) == {"vanilla", "base", "ga", "ga-gd"}
    assert older.distinction == "start.base.recipe.epochs 2 instead of 1"
    markdown = (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    assert "Unlike the first table of this task and model: start.base.recipe.epochs 2 instead of 1." in markdown


def test_own_data_under_two_names_is_run_again_as_it_was_given(
    command: list[object], data_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    """Two copies, and another folder of the first one's name with other rows."""
    copy, namesake = tmp_path / "copy", tmp_path / "else" / data_folder.name
    shutil.copytree(data_folder, copy)
    shutil.copytree(data_folder, namesake)
    file = namesake / "test_forget.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    file.write_text("\n".join(json.dumps(row | {"prompt": "So: " + row["prompt"]}) for row in rows), encoding="utf-8")
    tasks = ",".join(f"path:{folder}" for folder in (data_folder, copy, namesake))
    outcome = invoke(*command, "--methods", "ga", "--tasks", tasks)
    assert outcome.exit_code == 0, outcome.output
    entries = open_entries(str(tmp_path / "results"))
    assert len(group_entries(entries)) == 3
    given = {(entry.config or {})["tasks"][0] for entry in entries}
    assert given == {f"path:{data_folder.name}", "path:copy"}
    # Results hold names, of which two are equal: each folder gives the keys of its own rows and of no others.
    keys = {entry.key for entry in entries}
    again = [
        {cell.key for cell in build_grid(repeat.config, registry())} & keys
        for folder in (data_folder, copy, namesake)
        for repeat in repeats(
            [entry for entry in entries if (entry.config or {})["tasks"] == [f"path:{folder.name}"]],
            {},
            {folder.name: folder, model_folder.name: model_folder},
        )
    ]
    assert set.union(*again) == keys
    assert sum(map(len, again)) == len(keys)


class Length(Metric):
    name, title, description = "length", "Length", "Mean length of the predictions."

    def compute(self, predictions: Predictions) -> float:
        return sum(map(len, predictions.predicted)) / len(predictions.predicted)


def test_a_new_metric_is_measured_without_tuning_again(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    settings = {
        "tasks": [f"path:{data_folder}"],
        "models": [str(model_folder)],
        "methods": ["ga"],
        "results": str(tmp_path / "results"),
        "tuning": {"trials": 2},
        "base": {"kind": "full", "epochs": 2},
    }
    config = build_config(settings, {})
    store = Store(config.results)
    found = []
    for metrics in ({}, {"length": Registered(Length, Origin("lengths", "lengths", "1"))}):
        cells = build_grid(config, replace(registry(), metrics=metrics))
        runner = Runner(config, store, LogDisplay(Console(), [1.0], True).reporter(0))
        assert runner.run(cells, {cell.key: 1.0 for cell in cells}).done == 3
        (study,) = optuna.get_all_study_summaries(store.optuna_storage)
        assert study.n_trials == 2
        found.append(next(entry for entry in open_entries(str(config.results))[::-1] if entry.row == "ga"))
    before, after = found
    assert after.key != before.key
    assert after.right == before.right
    assert after.trials == before.trials
    assert len(after.trials) == 2
    assert set(after.metrics) - set(before.metrics) >= {"test_forget_length", "train_retain_length"}
    # One table, in which the newest results stand.
    (group,) = group_entries(open_entries(str(config.results)))
    assert group.rows["ga"].entries == (after,)


def test_newest_is_what_ended_last_whatever_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "results")
    now = time.time()
    ended = []
    for key, moment in (("a", now), ("b", now - 1e6), ("a", now - 2e6), ("c", now - 3e6)):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        with store.record("cell", key, tags={KEY: key, TRAINING: key}) as record:
            ended.append(record.run_id)
    found = {key: run.info.run_id for key, run in store.finished_cells().items()}
    assert list(found.items()) == [("b", ended[1]), ("a", ended[2]), ("c", ended[3])]


def test_results_of_an_earlier_version_are_refused_in_one_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    with store.record("cell", "old", tags={KEY: "old", "block": "b"}):
        pass
    with pytest.raises(UserError, match="holds results of unlearnbench 0.1.*run the same command with another folder"):
        open_entries(str(tmp_path / "results"))
