"""Cells on a local Ray cluster of two workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from unlearnbench.leaderboard.files import open_entries
from unlearnbench.processes.ray import connect
from unlearnbench.tracking.store import DONE_BEFORE, KEY, KIND, Store

pytestmark = pytest.mark.slow
if "ray" in os.environ.get("UNLEARNBENCH_TESTS_NEED", "").split():
    import ray  # noqa: F401
else:
    pytest.importorskip("ray", reason="Ray is not installed (pip install -e '.[ray]')")


def command(model_folder: Path, data_folder: Path, results: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "unlearnbench", "run", "--tasks", f"path:{data_folder}", "--models", str(model_folder),
        "--methods", "npo-rt,spul", "--seeds", "0,1", "--trials", "2", "--results", str(results), "--set",
        "base.kind=lora", "--set", "base.epochs=3", "--set", "npo-rt.epochs=20", "--set", "spul.epochs=20", *more,
    ]  # fmt: skip


def busy_workers(driver: int) -> list[psutil.Process]:
    """The worker processes of a driver's cluster that run a cell."""
    children = psutil.Process(driver).children(recursive=True)
    return [child for child in children if "ray::_Actor.do" in " ".join(child.cmdline())]


def running_cells(database: Path) -> int:
    """Number of cells that are running, according to a store."""
    if not database.is_file():
        return 0
    query = (
        "select count(*) from runs join tags on tags.run_uuid = runs.run_uuid "
        f"where tags.key = '{KIND}' and tags.value = 'cell' and status = 'RUNNING'"
    )
    with sqlite3.connect(database) as connection:
        return int(connection.execute(query).fetchone()[0])


def test_cells_of_a_lost_worker_are_scheduled_again(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_DISABLE_IMPORT_WARNING": "1"}
    log = (tmp_path / "log").open("w", encoding="utf-8")
    arguments = command(model_folder, data_folder, tmp_path / "ray", "--executor", "ray")
    process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 200
        while running_cells(tmp_path / "ray" / "mlflow.db") < 2:
            assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.2)
        victims = busy_workers(process.pid)
        assert len(victims) == 2
        victims[0].send_signal(signal.SIGKILL)
        assert process.wait(timeout=250) == 0, (tmp_path / "log").read_text(encoding="utf-8")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    store = Store(tmp_path / "ray")
    runs = store._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED'")
    counts = Counter(run.data.tags[KEY] for run in runs)
    assert len(counts) == 7
    assert set(counts.values()) == {1}
    # The killed worker's cell left a run that was closed as such, and was run again elsewhere.
    assert store._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'KILLED'")

    here = command(model_folder, data_folder, tmp_path / "local", "--quiet")
    subprocess.run(here, env=environment, check=True, capture_output=True)
    accuracies = [{entry.key: entry.right for entry in open_entries(str(tmp_path / name))} for name in ("ray", "local")]
    assert accuracies[0] == accuracies[1]


def test_worker_without_a_cell_trains_trials_of_another(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_DISABLE_IMPORT_WARNING": "1"}
    one_cell = ["--methods", "npo-rt", "--seeds", "0", "--trials", "4", "--set", "npo-rt.epochs=300", "--quiet"]
    for name, more in (("ray", ["--executor", "ray"]), ("local", [])):
        arguments = command(model_folder, data_folder, tmp_path / name, *one_cell, *more)
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=250, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    trials = [Store(tmp_path / name)._search(f"tags.`{KIND}` = 'trial'") for name in ("ray", "local")]
    assert [len(found) for found in trials] == [4, 4]
    assert [sum(DONE_BEFORE in run.data.tags for run in found) for found in trials][1] == 0
    assert any(DONE_BEFORE in run.data.tags for run in trials[0]), "one worker did everything"
    values = [{run.data.params["learning_rate"]: run.data.metrics["objective"] for run in found} for found in trials]
    assert values[0] == values[1]


def test_credentials_reach_workers_with_the_work_and_not_by_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    from unlearnbench.processes.ray import ENVIRONMENT, _Actor, credentials

    secret = {"MLFLOW_TRACKING_PASSWORD": "made up", "AWS_SECRET_ACCESS_KEY": "too", "HF_TOKEN": "and this"}
    for name, value in {**secret, "UNRELATED": "kept here"}.items():
        monkeypatch.setenv(name, value)
    found = credentials()
    assert secret.items() <= found.items()
    assert "UNRELATED" not in found
    # Ray shows on its pages what surroundings a cluster is asked for.
    assert not found.keys() & set(ENVIRONMENT)
    for name in secret:
        monkeypatch.delenv(name)
    _Actor(0, None, None, found)  # type: ignore[arg-type]
    assert {name: os.environ[name] for name in secret} == secret
    for name in found:
        monkeypatch.setenv(name, found[name])


def test_ray_starts_here_unless_an_address_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    asked: list[str] = []
    monkeypatch.setattr(ray, "init", lambda address, **_: asked.append(address))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    # A file of Ray's own may still name a cluster that has died; only these two count.
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert connect(None, 0) == 2
    monkeypatch.setenv("RAY_ADDRESS", "there:6379")
    connect(None, 0)
    connect("elsewhere:6379", 0)
    assert asked == ["local", "there:6379", "elsewhere:6379"]
