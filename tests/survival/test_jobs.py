"""One run in several processes: the results are those of one process, even if one dies, and all end together."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.conftest import invoke
from tests.survival.processes import COSTS, exit_code, finished_runs, start
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.tracking.store import KIND, ORDER, Store

pytestmark = pytest.mark.slow


@pytest.fixture
def long_cells(common: list[object]) -> list[object]:
    """Two methods whose trainings take long enough to be interrupted."""
    return [
        *common, "--methods", "npo-rt,spul", "--seeds", "0,1", "--trials", 2, "--jobs", 2,
        "--set", "npo-rt.epochs=60", "--set", "spul.epochs=60",
    ]  # fmt: skip


def results_of(results: Path) -> dict[str, object]:
    """What must be equal, by cell: params, metrics that are not costs, and every prediction to the last bit."""
    store = Store(results)
    found: dict[str, object] = {}
    for key, run in store.finished_cells().items():
        metrics = {
            name: value for name, value in run.data.metrics.items() if name != ORDER and not name.endswith(COSTS)
        }
        predictions = {}
        for split in ("train_forget", "train_retain", "test_forget", "test_retain"):
            file = store.artifacts.find(run.info.run_id, f"predictions/{split}.parquet")
            assert file is not None
            predictions[split] = pd.read_parquet(file).to_dict("list")
        found[key] = (metrics, run.data.params, predictions, run.data.tags["hardware.threads"])
    return found


def trials_of(results: Path) -> dict[tuple[str, int], tuple[dict[str, str], float | None]]:
    """Values and objective of every trial."""
    return {
        (entry.key, trial.number): (trial.values, trial.objective)
        for entry in open_entries(str(results))
        for trial in entry.trials
    }


def count(results: Path, status: str) -> int:
    """Cells with a status, read without MLflow, whose engines a forked process would share."""
    database = results / "mlflow.db"
    if not database.is_file():
        return 0
    query = (
        "select count(*) from runs join tags on tags.run_uuid = runs.run_uuid "
        f"where tags.key = '{KIND}' and tags.value = 'cell' and status = '{status}'"
    )
    with sqlite3.connect(database, timeout=30) as connection:
        return int(connection.execute(query).fetchone()[0])


def wait_for_two_cells(pid: int, results: Path, log: Path) -> list[psutil.Process]:
    """The two processes of a run, once each runs a cell."""
    deadline = time.monotonic() + 240
    while count(results, "RUNNING") < 2:
        assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    workers = psutil.Process(pid).children()
    assert len(workers) == 2
    return workers


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache for all runs of a test."""
    return tmp_path / "cache"


def test_results_are_the_same_for_one_process_two_and_four(common: list[object], tmp_path: Path) -> None:
    for jobs in (1, 2, 4):
        # Each makes its base models itself.
        arguments = [*common, "--jobs", jobs, "--results", tmp_path / str(jobs)]
        code = exit_code(start(arguments, tmp_path / f"cache-{jobs}"))
        assert code == 0, (tmp_path / f"cache-{jobs}.log").read_text(encoding="utf-8")
    one = results_of(tmp_path / "1")
    assert len(one) == 5
    for jobs in (2, 4):
        assert results_of(tmp_path / str(jobs)) == one
        assert trials_of(tmp_path / str(jobs)) == trials_of(tmp_path / "1")
        assert set(finished_runs(tmp_path / str(jobs)).values()) == {1}
        invocations = Store(tmp_path / str(jobs))._search(f"tags.`{KIND}` = 'invocation'")
        assert len(invocations) == 1, "all processes belong to one call"


def test_killed_process_costs_its_cell_a_retry(long_cells: list[object], cache: Path, tmp_path: Path) -> None:
    pid = start([*long_cells, "--results", tmp_path / "killed"], cache)
    workers = wait_for_two_cells(pid, tmp_path / "killed", cache.with_suffix(".log"))
    workers[0].kill()
    code = exit_code(pid)
    log = cache.with_suffix(".log").read_text(encoding="utf-8")
    assert code == 0, log
    assert log.count("process ended unexpectedly (killed by SIGKILL, as when memory runs out)") == 1
    assert count(tmp_path / "killed", "KILLED") == 1
    assert set(finished_runs(tmp_path / "killed").values()) == {1}
    assert not list((tmp_path / "killed" / "work").glob("*/*"))
    code = exit_code(start([*long_cells, "--jobs", 1, "--results", tmp_path / "one"], cache))
    assert code == 0
    assert results_of(tmp_path / "killed") == results_of(tmp_path / "one")


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_signal_ends_all_processes(
    long_cells: list[object], cache: Path, tmp_path: Path, ended_by: signal.Signals
) -> None:
    pid = start([*long_cells, "--results", tmp_path / "results"], cache)
    workers = wait_for_two_cells(pid, tmp_path / "results", cache.with_suffix(".log"))
    # To its whole group, as the terminal sends Ctrl-C.
    os.killpg(pid, ended_by)
    code = exit_code(pid)
    log = cache.with_suffix(".log").read_text(encoding="utf-8")
    assert code == (130 if ended_by is signal.SIGINT else -ended_by), log
    assert "Traceback" not in log
    assert log.count("interrupted; the same command continues") == (ended_by is signal.SIGINT)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert count(tmp_path / "results", "RUNNING") == 0
    assert count(tmp_path / "results", "KILLED") == 2
    code = exit_code(start([*long_cells, "--results", tmp_path / "results"], cache))
    assert code == 0
    assert set(finished_runs(tmp_path / "results").values()) == {1}


def test_failing_cell_stops_no_other_and_is_reported_as_by_one_process(
    common: list[object], cache: Path, tmp_path: Path
) -> None:
    arguments = [
        *common,
        "--methods",
        "ga,npo-rt",
        "--set",
        "npo-rt.learning_rate=1e30",
        "--results",
        tmp_path / "results",
    ]
    for jobs in (2, 1):
        code = exit_code(start([*arguments, "--retry-failed", "--jobs", jobs], cache))
        assert code == 1, cache.with_suffix(".log").read_text(encoding="utf-8")
    told = [line for line in cache.with_suffix(".log").read_text(encoding="utf-8").splitlines() if "failed: " in line]
    assert len(told) == 2
    assert "all 1 trials diverged" in told[0]
    assert told[0] == told[1]
    failed = Store(tmp_path / "results").failed_cells()
    assert [failure.name.rpartition(" / ")[2] for failure in failed.values()] == ["npo-rt"]
    assert {run.data.tags["row"] for run in Store(tmp_path / "results").finished_cells().values()} == {
        "vanilla",
        "base",
        "ga",
    }
    again = invoke(*arguments, "--dry-run").output
    assert "0 cells to run, 3 finished before, 1 failed before" in again


def test_user_error_is_reported_in_one_sentence(common: list[object], cache: Path, tmp_path: Path) -> None:
    arguments = [*common, "--set", "base.target_modules=[nothing]", "--results", tmp_path / "results"]
    for jobs in (1, 2):
        assert exit_code(start([*arguments, "--retry-failed", "--jobs", jobs], cache)) == 1
    log = cache.with_suffix(".log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    told = [line for line in log.splitlines() if line.startswith("failed: ")]
    assert len(told) == 2
    assert told[0] == told[1]
    assert (
        "base and 3 more: LoRA finds no modules nothing in LlamaForCausalLM: leave out base.target_modules" in told[0]
    )
