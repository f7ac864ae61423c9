"""The command line in a process of its own, as users run it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu.step import Setup

if TYPE_CHECKING:
    from unlearnbench.leaderboard.entry import Entry

# A small cell of preset quick.
ONE_TASK = ("--preset", "quick", "--tasks", "sst2", "--methods", "ga-gd,spul", "--trials", "1")
SMALLER = ("--max-train", "32", "--max-test", "32", "--set", "base.epochs=1", "--set", "spul.epochs=1")


@dataclass(frozen=True)
class Command:
    """A run with a results folder and a cache below the output folder.

    Attributes:
        name: of its folders.
        arguments: of ``unlearnbench run`` beside device and results.
        cache: name of the cache, which commands of the same name share; None for one of its own.
    """

    setup: Setup
    name: str
    arguments: tuple[str, ...]
    device: str
    cache: str | None = None

    @property
    def results(self) -> Path:
        """Its results folder."""
        return self.setup.output / "runs" / self.name

    @property
    def _cache(self) -> Path:
        return self.setup.output / "caches" / (self.cache or self.name)

    def anew(self) -> None:
        """Forgets an earlier run, and its cache if no other command shares it."""
        shutil.rmtree(self.results, ignore_errors=True)
        if self.cache is None:
            shutil.rmtree(self._cache, ignore_errors=True)

    def start(self) -> subprocess.Popen[str]:
        """The run as a process that leads its own group; its output goes to a file."""
        self._cache.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"UNLEARNBENCH_CACHE": str(self._cache), "HF_HUB_OFFLINE": "1"}
        words = [sys.executable, "-m", "unlearnbench", "run", "--results", str(self.results), "--device", self.device]
        with self.log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [*words, *self.arguments],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    @property
    def log(self) -> Path:
        """Where its output is kept."""
        return self._cache.with_name(f"{self.name}.log")

    def run(self) -> float:
        """Seconds until it has ended well.

        Raises:
            RuntimeError: it ended otherwise.
        """
        start = time.perf_counter()
        process = self.start()
        try:
            code = process.wait()
        except BaseException:
            # Ctrl-C does not reach a group of its own.
            os.killpg(process.pid, signal.SIGKILL)
            raise
        if code:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = lines[-1] if lines else ""
            raise RuntimeError(f"run {self.name} ended with exit code {code} ({last}; {self.log})")
        return time.perf_counter() - start

    def entries(self) -> dict[tuple[str, str, int | None], Entry]:
        """Its finished cells by task, row and seed."""
        from unlearnbench.leaderboard.files import open_entries

        if not (self.results / "mlflow.db").is_file():
            return {}
        return {(entry.task, entry.row, entry.seed): entry for entry in open_entries(str(self.results))}


def one_task(setup: Setup) -> tuple[str, ...]:
    """Arguments of a run of one task and two methods."""
    return (*ONE_TASK, *(SMALLER if setup.small else ()))
