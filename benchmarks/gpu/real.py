"""Real: the leaderboards that a CPU can't make in reasonable time, from data that the user has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.gpu.command import Command
from benchmarks.gpu.step import CannotDoError, Finding, Setup, Step

# Whole tasks, in place of preset small's samples.
WHOLE = ("--set", "max_train=null", "--set", "max_test=null")
LEADERBOARDS = {
    "smollm2-135m-sst2-authors": (
        *("--preset", "small", "--models", "smollm2-135m", "--tasks", "sst2", "--set", "sst2.split=authors"),
        *("--methods", "all", "--seeds", "0,1,2", "--trials", "8", *WHOLE),
    ),
}
SMALL = (
    *("--preset", "quick", "--models", "tiny", "--tasks", "sst2", "--set", "sst2.split=authors", "--methods", "spul"),
    *("--trials", "1", "--max-train", "32", "--max-test", "32", "--set", "base.epochs=1", "--set", "spul.epochs=1"),
)


def steps(setup: Setup) -> Iterator[Step]:
    """A leaderboard each."""
    for name, arguments in LEADERBOARDS.items():
        made = "the run ends well, and `unlearnbench leaderboard check` finds nothing wrong with its leaderboard"
        yield Step("real", name, made, partial(_leaderboard, setup, name, SMALL if setup.small else arguments))


def _leaderboard(setup: Setup, name: str, arguments: tuple[str, ...]) -> Finding:
    """Runs the command, or goes on with it, and writes its leaderboard as it is contributed."""
    if setup.data_root is None:
        raise CannotDoError("it needs real data: name a folder in hub layout with --data-root.")
    folder = setup.output / "leaderboards" / name
    folder.mkdir(parents=True, exist_ok=True)
    root = ("--data-root", str(setup.data_root), "--save-config", str(folder / "config.yaml"))
    command = Command(setup, name, (*arguments, *root), setup.device)
    seconds = command.run()
    _unlearnbench("leaderboard", "--results", str(command.results), "--output", str(folder))
    wrong = _unlearnbench("leaderboard", "check", str(folder), fails=True)
    return Finding(
        not wrong, {"cells": len(command.entries()), "seconds": seconds, "folder": str(folder), "wrong": wrong}
    )


def _unlearnbench(*arguments: str, fails: bool = False) -> str:
    """Runs a command; returns what it says if it fails, which only some may."""
    words = [sys.executable, "-m", "unlearnbench", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode and not fails:
        raise RuntimeError(f"unlearnbench {' '.join(arguments)} failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    return (done.stdout + done.stderr)[-1000:] if done.returncode else ""
