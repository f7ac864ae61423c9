"""Claims between real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from unlearnbench.storage import lease
from unlearnbench.storage.lease import Claim, claimed


def holder(file: Path) -> int:
    """A process that holds the claim until it is killed."""
    pid = os.fork()
    if pid == 0:
        if Claim(file).acquire():
            file.with_suffix(".held").touch()
        time.sleep(60)
        os._exit(0)
    while not file.with_suffix(".held").exists():
        time.sleep(0.01)
    return pid


def test_claim_is_exclusive_and_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "cell.lease"
    file.parent.mkdir()
    pid = holder(file)
    claim = Claim(file)
    assert not claim.acquire()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + 10
    while not claim.acquire():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not claim.lost
    claim.release()
    assert Claim(file).acquire()


def test_stopped_holder_loses_its_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.6)
    file = tmp_path / "cell.lease"
    pid = holder(file)
    os.kill(pid, signal.SIGSTOP)
    claim = Claim(file)
    deadline = time.monotonic() + 20
    while not claim.acquire():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_waiting_for_a_claim_ends_when_it_is_released(tmp_path: Path) -> None:
    file = tmp_path / "base.lease"
    pid = holder(file)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with claimed(file):
        assert not Claim(file).acquire()
    assert Claim(file).acquire()


@pytest.mark.slow
def test_claim_of_a_process_that_died_while_creating_the_file_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between making the file and writing into it."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    file = tmp_path / "thing.lease"
    file.touch()
    claim = lease.Claim(file)
    began = time.monotonic()
    while not claim.acquire():
        assert time.monotonic() - began < 10
        time.sleep(0.1)
    assert time.monotonic() - began >= 1.0, "it might have been alive"
    other = lease.Claim(file)
    for _ in range(15):
        assert not other.acquire()
        time.sleep(0.1)
    assert not claim.lost
    claim.release()
    assert not list(tmp_path.iterdir())
