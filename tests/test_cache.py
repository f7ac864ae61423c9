"""Folders that are seen whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from unlearnbench.cache import discard

REMOVALS = {"os.rename", "os.remove", "os.rmdir"}


def fill(entry: Path) -> Path:
    (entry / "inner").mkdir(parents=True)
    for file in (entry / "a", entry / "b", entry / "inner" / "c"):
        file.write_text("x", encoding="utf-8")
    return entry


def test_a_folder_whose_removal_is_killed_is_whole_or_gone(tmp_path: Path) -> None:
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
        killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert sorted(file.name for file in entry.rglob("*")) in ([], ["a", "b", "c", "inner"])
        discard(entry)
        assert not list(tmp_path.iterdir())
    assert killed == 6


def test_a_folder_that_does_not_exist_needs_no_removal(tmp_path: Path) -> None:
    discard(tmp_path / "missing" / "entry")
    assert not list(tmp_path.iterdir())
