"""Disks that are full or read-only: one sentence, and the run can go on."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import invoke
from tests.survival.processes import exit_code, start
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.files import open_entries

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full: make room"),
        (errno.EROFS, "can't be written"),
        (errno.EACCES, "can't be written"),
    ],
    ids=["full", "read-only file system", "read-only folder"],
)
def test_storage_errors_stop_the_run_with_one_sentence_and_it_resumes_later(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    from unlearnbench.tracking.run import Record

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
    """A separate file system with little space."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tmpfs can't be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_full_disk_loses_no_results(common: list[object], small_disk: Path, tmp_path: Path) -> None:
    arguments = [*common, "--methods", "spul", "--trials", 0, "--results", small_disk / "results"]
    pid = start([*arguments, "--methods", "ga"], tmp_path / "cache")
    assert exit_code(pid) == 0
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    assert shutil.disk_usage(small_disk).free < 8192
    pid = start(arguments, tmp_path / "cache")
    code = exit_code(pid)
    assert code != 0, (tmp_path / "cache.log").read_text(encoding="utf-8")
    log = (tmp_path / "cache.log").read_text(encoding="utf-8")
    assert "the disk is full" in log or "can't be written (No space left on device)" in log, log
    ballast.unlink()
    pid = start(arguments, tmp_path / "cache")
    assert exit_code(pid) == 0
    assert {entry.row for entry in open_entries(str(small_disk / "results"))} == {"vanilla", "base", "ga", "spul"}
