"""Runs that are killed, collide, run out of room or meet broken files: nothing finished is lost, and they go on."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import invoke
from unlearnbench.base import is_whole
from unlearnbench.cache import cache_root
from unlearnbench.cli import app
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.tracking import KEY, KIND, Store

KILLS = 20
COSTS = ("_seconds", "_bytes")


@pytest.fixture
def common(model_folder: Path, data_folder: Path) -> list[object]:
    return [
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--methods", "ga,npo-rt,spul", "--trials", 3,
        "--set", "base.kind=lora", "--set", "base.epochs=4", "--set", "spul.epochs=4", "--set", "npo-rt.epochs=4",
        "--quiet",
    ]  # fmt: skip


@pytest.fixture
def every_step(tmp_path: Path) -> list[object]:
    """Snapshots after every step."""
    file = tmp_path / "often.yaml"
    file.write_text("checkpoint_seconds: 0\n", encoding="utf-8")
    return ["--config", file]


def start(arguments: list[object], cache: Path) -> int:
    """The command in a process of its own, with everything imported already."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.environ["UNLEARNBENCH_CACHE"] = str(cache)
        sys.stdout = sys.stderr = cache.with_suffix(".log").open("a", encoding="utf-8", buffering=1)
        code = 1
        try:
            code = int(app([str(argument) for argument in arguments], standalone_mode=False) or 0)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid


def results_of(entries: list[Entry]) -> dict[str, object]:
    """What must be equal, by cell: every metric that is no cost, hyper-parameters and single predictions."""
    return {
        entry.key: (
            {name: value for name, value in entry.metrics.items() if not name.endswith(COSTS)},
            entry.hyperparameters,
            entry.right,
        )
        for entry in entries
    }


def test_killed_runs_end_with_the_results_of_an_unbroken_one(
    common: list[object], every_step: list[object], tmp_path: Path
) -> None:
    arguments = [*common, *every_step, "--methods", "npo-rt,spul", "--trials", 2]
    began = time.monotonic()
    pid = start([*arguments, "--results", tmp_path / "whole"], tmp_path / "whole-cache")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    whole_seconds = time.monotonic() - began

    generator = random.Random(0)
    kills, rounds = 0, 0
    stages: Counter[str] = Counter()
    while kills < KILLS:
        results, cache = tmp_path / f"killed-{rounds}", tmp_path / f"cache-{rounds}"
        pid = start([*arguments, "--results", results], cache)
        time.sleep(generator.uniform(0.3, 0.9 * whole_seconds))
        stages[stage(results, cache)] += 1
        os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        kills += code == -signal.SIGKILL
        if code != -signal.SIGKILL or kills == KILLS:
            # It had finished before, or is to finish now; then another one begins.
            pid = start([*arguments, "--results", results], cache)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code == 0, cache.with_suffix(".log").read_text(encoding="utf-8")
            rounds += 1
    assert len(stages) > 2, stages
    whole = open_entries(str(tmp_path / "whole"))
    assert len(whole) == 4
    for number in range(rounds):
        results = tmp_path / f"killed-{number}"
        assert results_of(open_entries(str(results))) == results_of(whole)
        assert finished_runs(results) == dict.fromkeys([entry.key for entry in whole], 1)
        assert not list((results / "work").glob("*/*"))
        query = f"tags.`{KIND}` != 'invocation' and attributes.status = 'RUNNING'"
        assert not Store(results)._search(query)


def stage(results: Path, cache: Path) -> str:
    """Roughly where a run is, from what it has left so far; read without MLflow, whose engines a fork would share."""
    if not list((cache / "base").glob("[!.]*/base.json")):
        return "base"
    with sqlite3.connect(results / "mlflow.db") as connection:
        query = (
            "select count(*) from runs join tags on tags.run_uuid = runs.run_uuid "
            f"where tags.key = '{KIND}' and tags.value = 'cell' and status = 'FINISHED'"
        )
        return f"{connection.execute(query).fetchone()[0]} cells finished"


def finished_runs(results: Path) -> dict[str, int]:
    runs = Store(results)._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED'")
    return dict(Counter(run.data.tags[KEY] for run in runs))


def test_two_processes_share_the_cells_and_none_runs_twice(common: list[object], tmp_path: Path) -> None:
    arguments = [*common, "--seeds", "0,1", "--results", tmp_path / "shared"]
    pids = [start(arguments, tmp_path / "cache") for _ in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
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


def test_two_processes_meet_a_failing_cell_once(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench_methods.ga import GradientAscent

    monkeypatch.setattr(GradientAscent, "loss", lambda self, batch: 1 / 0)
    arguments = [*common, "--methods", "ga", "--seeds", "0,1", "--results", tmp_path / "shared"]
    for retry in ([], ["--retry-failed"]):
        pids = [start([*arguments, *retry], tmp_path / "cache") for _ in range(2)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
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


def test_failed_cells_wait_for_retry_failed(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench_methods.ga import GradientAscent

    arguments = [*common, "--results", tmp_path / "results", "--methods", "ga"]
    good = GradientAscent.loss
    monkeypatch.setattr(GradientAscent, "loss", lambda self, batch: 1 / 0)
    assert invoke(*arguments).exit_code == 1
    monkeypatch.setattr(GradientAscent, "loss", good)
    again = invoke(*arguments)
    assert again.exit_code == 1
    assert "0 cells to run, 2 finished before, 1 failed before (--retry-failed runs them again)" in again.output
    assert "ZeroDivisionError" in again.output
    assert "ZeroDivisionError" in (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    retried = invoke(*arguments, "--retry-failed")
    assert retried.exit_code == 0, retried.output
    assert "failed" not in (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8").lower()


def test_cell_that_takes_too_long_is_given_up(common: list[object], tmp_path: Path) -> None:
    outcome = invoke(*common, "--results", tmp_path / "results", "--methods", "ga", "--cell-timeout", 0.001)
    assert outcome.exit_code == 1
    assert "it took longer than cell_timeout, 0.001 seconds" in outcome.output


def test_memory_that_never_suffices_fails_the_cell_alone(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from unlearnbench_methods.ga import GradientAscent

    def short(self: object, batch: object) -> None:
        raise torch.OutOfMemoryError("made up")

    monkeypatch.setattr(GradientAscent, "loss", short)
    outcome = invoke(*common, "--results", tmp_path / "results", "--methods", "ga,spul")
    assert outcome.exit_code == 1
    assert "OutOfMemoryError: made up" in outcome.output
    assert {entry.row for entry in open_entries(str(tmp_path / "results"))} == {"vanilla", "base", "spul"}


@pytest.mark.parametrize("harm", ["truncated", "deleted"])
def test_broken_base_model_is_made_again(common: list[object], tmp_path: Path, harm: str) -> None:
    first = [*common, "--results", tmp_path / "results"]
    assert invoke(*first, "--methods", "ga").exit_code == 0
    (weights,) = cache_root().glob("base/*/model.safetensors")
    whole = weights.stat().st_size
    if harm == "truncated":
        os.truncate(weights, whole // 2)
    else:
        weights.unlink()
    outcome = invoke(*first, "--methods", "spul")
    assert outcome.exit_code == 0, outcome.output
    assert weights.stat().st_size == whole


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full: make room"),
        (errno.EROFS, "can't be written"),
        (errno.EACCES, "can't be written"),
    ],
    ids=["full", "read-only file system", "read-only folder"],
)
def test_storage_that_fails_stops_with_one_sentence_and_the_run_goes_on_later(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    from unlearnbench.tracking import Record

    arguments = [*common, "--results", tmp_path / "results", "--methods", "ga"]
    original = Record.artifacts

    def fail(self: Record, folder: Path) -> None:
        if (folder / "predictions").is_dir() and not (tmp_path / "room").exists():
            raise OSError(number, os.strerror(number))
        original(self, folder)

    monkeypatch.setattr(Record, "artifacts", fail)
    stopped = invoke(*arguments).exception
    assert isinstance(stopped, UserError)
    assert sentence in str(stopped)
    (tmp_path / "room").touch()
    outcome = invoke(*arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "3 cells to run" in outcome.output


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tmpfs can't be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_disk_that_is_really_full_loses_nothing(common: list[object], small_disk: Path, tmp_path: Path) -> None:
    arguments = [*common, "--methods", "spul", "--trials", 0, "--results", small_disk / "results"]
    pid = start([*arguments, "--methods", "ga"], tmp_path / "cache")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    assert shutil.disk_usage(small_disk).free < 8192
    pid = start(arguments, tmp_path / "cache")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code != 0, (tmp_path / "cache.log").read_text(encoding="utf-8")
    log = (tmp_path / "cache.log").read_text(encoding="utf-8")
    assert "the disk is full" in log or "can't be written (No space left on device)" in log, log
    ballast.unlink()
    pid = start(arguments, tmp_path / "cache")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert {entry.row for entry in open_entries(str(small_disk / "results"))} == {"vanilla", "base", "ga", "spul"}


def until(holds: Callable[[], object], seconds: float) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.05)


def serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """An MLflow server that answers."""
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination", str(folder / "files"), "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    nowhere = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, start_new_session=True, env=environment)
    for _ in range(120):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return server
        time.sleep(0.5)
    pytest.fail("MLflow did not answer within a minute")


def stop(server: subprocess.Popen[bytes]) -> None:
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_mlflow_server_may_be_down_for_a_while(common: list[object], every_step: list[object], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = serve(tmp_path, port)
    uri = f"http://127.0.0.1:{port}"
    arguments = [*common, *every_step, "--methods", "ga", "--trials", 2, "--tracking-uri", uri]
    pid = start([*arguments, "--results", tmp_path / "results"], tmp_path / "cache")
    try:
        until(lambda: list((tmp_path / "results" / "work").glob("*.lease")), 60)
        stop(server)
        time.sleep(5)
        server = serve(tmp_path, port)
        ended: list[int] = []
        until(lambda: ended.extend(status for found, status in [os.waitpid(pid, os.WNOHANG)] if found) or ended, 150)
        assert ended == [0], (tmp_path / "cache.log").read_text(encoding="utf-8")
        entries = open_entries(uri)
    finally:
        stop(server)
    assert {entry.row for entry in entries} == {"vanilla", "base", "ga"}
    assert all(entry.right for entry in entries)


@pytest.mark.parametrize(
    ("pattern", "harm"),
    [
        ("references/*/values.npy", "truncated"),
        ("splits/*/train_forget.parquet", "emptied"),
        ("splits/*/provenance.json", "deleted"),
    ],
)
def test_broken_cache_files_are_made_again(pattern: str, harm: str, model_folder: Path, tmp_path: Path) -> None:
    arguments = [
        "run", "--preset", "quick", "--tasks", "sst2", "--models", model_folder, "--methods", "ga-kl", "--trials", 0,
        "--max-train", 8, "--max-test", 8, "--set", "base.epochs=1", "--set", "model.context_length=128", "--quiet",
    ]  # fmt: skip
    assert invoke(*arguments, "--results", tmp_path / "first").exit_code == 0
    files = list(cache_root().glob(pattern))
    assert files
    for file in files:
        if harm == "deleted":
            file.unlink()
        else:
            os.truncate(file, file.stat().st_size // 2 if harm == "truncated" else 0)
    outcome = invoke(*arguments, "--results", tmp_path / "second")
    assert outcome.exit_code == 0, outcome.output
    first, second = (open_entries(str(tmp_path / name)) for name in ("first", "second"))
    assert results_of(first) == results_of(second)


def test_whole_base_model_outlives_errors_of_other_causes(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have taken hours; only broken files are a reason to make it again."""
    from unlearnbench.workbench import Workbench

    assert invoke(*common, "--results", tmp_path / "results", "--methods", "ga").exit_code == 0
    (weights,) = cache_root().glob("base/*/model.safetensors")
    assert is_whole(weights.parent)
    made = weights.stat().st_mtime_ns

    def refuse(self: Workbench, *arguments: object) -> None:
        raise UserError("this device can't do that")

    monkeypatch.setattr(Workbench, "_load", refuse)
    stopped = invoke(*common, "--results", tmp_path / "results", "--methods", "spul").exception
    assert str(stopped) == "this device can't do that"
    assert weights.stat().st_mtime_ns == made
    os.truncate(weights, weights.stat().st_size - 1)
    assert not is_whole(weights.parent)


def test_experiment_that_another_process_makes_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Store(tmp_path)
    lookups = iter([None])
    original = Store._experiment
    monkeypatch.setattr(Store, "_experiment", lambda self, name: next(lookups, original(self, name)))
    assert Store(tmp_path).experiment_id == first.experiment_id
