"""Stores are opened before anything is computed; errors are one sentence without a password."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import invoke
from tests.survival.processes import exit_code
from unlearnbench import cli
from unlearnbench.errors import UserError
from unlearnbench.tracking import server
from unlearnbench.tracking.databases import check_optuna_storage, copied_database
from unlearnbench.tracking.server import ServerDownError, patience_seconds, patiently
from unlearnbench.tracking.store import Store


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mssql://me:s3cret@127.0.0.1:1/studies", "needs a database driver that is not installed"),
        ("nonsense://me:s3cret@host/studies", "can't be opened"),
        ("sqlite:////nowhere/at/all/studies.db", "can't be opened"),
    ],
)
def test_optuna_storage_that_cannot_be_opened_is_reported(url: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        check_optuna_storage(url)
    assert "s3cret" not in str(refused.value)


def test_optuna_storage_is_opened_before_the_plan(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    outcome = invoke(
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--methods", "ga",
        "--results", tmp_path / "results", "--optuna-storage", "mssql://me:s3cret@127.0.0.1:1/x",
    )  # fmt: skip
    assert "database driver" in str(outcome.exception)
    assert "Plan" not in outcome.output


def test_missing_database_driver_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a database driver that is not installed") as refused:
        Store(tmp_path, "mssql://me:s3cret@127.0.0.1:1/runs")
    assert "s3cret" not in str(refused.value)


def test_error_for_a_silent_server_hides_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServerDownError) as refused:
        Store(tmp_path, "http://me:s3cret@127.0.0.1:9")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["artifacts", "models", "work"])
def test_file_in_place_of_a_folder_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("notes", encoding="utf-8")
    with pytest.raises(UserError, match=f"{name} is a file where results have a folder"):
        Store(tmp_path)


class SlowClient:
    """Takes its time."""

    tracking_uri = "http://me:s3cret@tracking.example"

    def search(self) -> str:
        time.sleep(0.3)
        return "found"


def test_waiting_for_a_server_is_announced_with_its_duration(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.SILENCE_SECONDS < 5
    monkeypatch.setattr(server, "SILENCE_SECONDS", 0.05)
    # 4 + 8 + 16 + 32 + 64 + 120 seconds
    assert patience_seconds() == 2 * (2 + 4 + 8 + 16 + 32) + 120
    with caplog.at_level(logging.WARNING):
        assert patiently(SlowClient().search) == "found"
    (record,) = caplog.records
    assert "waiting for the MLflow server http://***@tracking.example" in record.message
    assert "4.1 minutes" in record.message
    monkeypatch.setattr(server, "SILENCE_SECONDS", 60)
    caplog.clear()
    patiently(SlowClient().search)
    assert not caplog.records


@pytest.mark.slow
def test_silent_server_is_reported_within_five_seconds(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        program = (
            "import pathlib, sys; from unlearnbench.tracking.store import Store; "
            "Store(pathlib.Path(sys.argv[1]), sys.argv[2])"
        )
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen([sys.executable, "-c", program, tmp_path, uri], stderr=subprocess.PIPE, text=True)
        silent.accept()
        began = time.monotonic()
        assert process.stderr is not None
        for line in process.stderr:
            if "waiting for the MLflow server" in line:
                break
        assert time.monotonic() - began < 5
        process.kill()
        process.wait()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A results folder with one run, mounted read-only."""
    results, mounted = tmp_path / "results", tmp_path / "mounted"
    store = Store(results)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("kept", encoding="utf-8")
    with store.record("cell", "one") as record:
        record.artifacts(tmp_path / "files")
    mounted.mkdir()
    if subprocess.run(["mount", "--bind", results, mounted], capture_output=True, check=False).returncode:
        pytest.skip("a folder can't be mounted here (it takes root)")
    subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
    yield mounted
    subprocess.run(["umount", "--lazy", mounted], check=True)


def test_results_on_a_read_only_mount_are_readable(read_only: Path) -> None:
    store = Store.existing(read_only)
    (run,) = store._search("")
    found = store.artifacts.find(run.info.run_id, "a.txt")
    assert found is not None
    assert found.read_text(encoding="utf-8") == "kept"
    with pytest.raises(UserError, match="can't be written"):
        Store(read_only)


def test_copy_of_a_database_includes_its_write_ahead_log(tmp_path: Path) -> None:
    database, there = tmp_path / "a.db", tmp_path / "there"
    there.mkdir()
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        with closing(sqlite3.connect(copied_database(database, there))) as reader:
            assert reader.execute("SELECT x FROM t").fetchall() == [(1,)]
    database.write_bytes(b"no database" * 1000)
    shutil.rmtree(there)
    there.mkdir()
    with pytest.raises(UserError, match="can't be read completely"):
        copied_database(database, there)


@pytest.mark.slow
def test_processes_can_create_the_same_store_at_the_same_time(tmp_path: Path) -> None:
    Store(tmp_path)
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for _ in range(40):
                    Store(tmp_path)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [exit_code(pid) for pid in pids] == [0, 0, 0]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without room for another file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=2", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs can't be mounted here (it takes root)")
    (folder / "cache").mkdir()
    yield folder / "cache"
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_cache_without_inodes_is_reported_before_the_plan(
    full_disk: Path, model_folder: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLEARNBENCH_CACHE", str(full_disk))
    arguments = ["--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results"]
    outcome = invoke("run", *arguments)
    assert isinstance(outcome.exception, UserError)
    assert "the cache folder" in str(outcome.exception)
    assert "No space left on device" in str(outcome.exception)
    assert "Plan" not in outcome.output


def test_database_error_is_raised_and_not_also_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("DROP TABLE tags")
    with pytest.raises(Exception, match="no such table"), store.record("cell", "one"):
        pass
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "/results/work"), "the disk is full: make room"),
        (sqlite3.OperationalError("unable to open database file"), "a database of the results folder can't be opened"),
    ],
)
def test_full_disk_is_reported_in_one_sentence_wherever_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
