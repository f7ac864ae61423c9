"""Processes that share a results folder."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import invoke
from tests.survival.processes import exit_code, finished_runs, start
from unlearnbench.errors import UserError
from unlearnbench.tracking.store import KEY, KIND, Store

pytestmark = pytest.mark.slow


def test_two_processes_share_the_cells_and_none_runs_twice(common: list[object], tmp_path: Path) -> None:
    arguments = [*common, "--seeds", "0,1", "--results", tmp_path / "shared"]
    pids = [start(arguments, tmp_path / "cache") for _ in range(2)]
    codes = [exit_code(pid) for pid in pids]
    assert codes == [0, 0], (tmp_path / "cache.log").read_text(encoding="utf-8")
    counts = finished_runs(tmp_path / "shared")
    assert len(counts) == 9
    assert set(counts.values()) == {1}
    store = Store(tmp_path / "shared")
    invocations = {
        run.data.tags["unlearnbench.invocation"]
        for run in store._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED'")
    }
    assert len(invocations) == 2, "one process did everything, so this test showed nothing"
    for name in ("mlflow.db", "optuna.db"):
        with sqlite3.connect(tmp_path / "shared" / name) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_failing_cell_is_run_by_only_one_process(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench_methods.ga import GradientAscent

    monkeypatch.setattr(GradientAscent, "loss", lambda self, batch: 1 / 0)
    arguments = [*common, "--methods", "ga", "--seeds", "0,1", "--results", tmp_path / "shared"]
    for retry in ([], ["--retry-failed"]):
        pids = [start([*arguments, *retry], tmp_path / "cache") for _ in range(2)]
        codes = [exit_code(pid) for pid in pids]
        assert codes == [1, 1], (tmp_path / "cache.log").read_text(encoding="utf-8")
    runs = Store(tmp_path / "shared")._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FAILED'")
    assert sorted(Counter(run.data.tags[KEY] for run in runs).values()) == [2, 2]


def test_shards_make_up_the_grid(common: list[object], tmp_path: Path) -> None:
    results = ["--results", tmp_path / "results", "--seeds", "0,1,2"]
    planned = [invoke(*common, *results, "--dry-run", "--shard", f"{part}/2").output for part in (1, 2)]
    assert "9 cells to run" in planned[0]
    assert "4 cells to run" in planned[1]
    wrong = invoke(*common, "--shard", "3/2").exception
    assert isinstance(wrong, UserError)
    assert "--shard is '3/2'" in str(wrong)


def test_experiment_created_by_another_process_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Store(tmp_path)
    lookups = iter([None])
    original = Store._experiment
    monkeypatch.setattr(Store, "_experiment", lambda self, name: next(lookups, original(self, name)))
    assert Store(tmp_path).experiment_id == first.experiment_id
