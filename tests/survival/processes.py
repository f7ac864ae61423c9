"""Runs in separate processes, and their results."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from benchmarks.faults.forks import forked
from unlearnbench.cli import app
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.tracking.store import KEY, KIND, Store

COSTS = ("_seconds", "_bytes")


def start(arguments: list[object], cache: Path) -> int:
    """Runs the command in a separate process, which has everything imported already; returns its process id."""

    def run() -> int:
        os.environ["UNLEARNBENCH_CACHE"] = str(cache)
        sys.stdout = sys.stderr = cache.with_suffix(".log").open("a", encoding="utf-8", buffering=1)
        return int(app([str(argument) for argument in arguments], standalone_mode=False) or 0)

    return forked(run)


def results_of(entries: list[Entry]) -> dict[str, object]:
    """What must be equal, by cell: every metric that is not a cost, hyper-parameters and individual predictions."""
    return {
        entry.key: (
            {name: value for name, value in entry.metrics.items() if not name.endswith(COSTS)},
            entry.hyperparameters,
            entry.right,
        )
        for entry in entries
    }


def finished_runs(results: Path, tracking_uri: str | None = None) -> dict[str, int]:
    """How often each cell was finished, by its key."""
    runs = Store(results, tracking_uri)._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED'")
    return dict(Counter(run.data.tags[KEY] for run in runs))


def exit_code(pid: int) -> int:
    """The exit code of a process, once it has ended; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
