"""Cache entries are visible completely or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.survival.processes import exit_code
from unlearnbench.storage.cache import discard, filling

REMOVALS = {"os.rename", "os.remove", "os.rmdir"}


def fill(entry: Path) -> Path:
    (entry / "inner").mkdir(parents=True)
    for file in (entry / "a", entry / "b", entry / "inner" / "c"):
        file.write_text("x", encoding="utf-8")
    return entry


def test_folder_whose_deletion_is_killed_is_complete_or_gone(tmp_path: Path) -> None:
    killed, events = 0, 0
    while killed == events:
        events += 1
        entry = fill(tmp_path / f"entry-{events}")
        pid = os.fork()
        if pid == 0:
            left = events

            def kill(event: str, arguments: object) -> None:
                nonlocal left
                left -= event in REMOVALS
                if left == 0:
                    os._exit(9)

            sys.addaudithook(kill)
            discard(entry)
            os._exit(0)
        killed += exit_code(pid) == 9
        assert sorted(file.name for file in entry.rglob("*")) in ([], ["a", "b", "c", "inner"])
        discard(entry)
        assert not list(tmp_path.iterdir())
    assert killed == 6


def test_deleting_a_missing_folder_does_nothing(tmp_path: Path) -> None:
    discard(tmp_path / "missing" / "entry")
    assert not list(tmp_path.iterdir())


def test_leftovers_of_killed_processes_are_deleted_and_those_of_live_ones_kept(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    pid = os.fork()
    if pid == 0:
        with filling(entry) as scratch:
            (scratch / "half").touch()
            os._exit(9)
    assert exit_code(pid) == 9
    (orphan,) = tmp_path.iterdir()
    assert (orphan / "half").exists()
    with filling(entry) as first, filling(entry) as second:
        assert set(tmp_path.iterdir()) == {first, second}
    assert list(tmp_path.iterdir()) == [entry]
