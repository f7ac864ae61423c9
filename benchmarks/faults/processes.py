"""Processes that share a results folder, and everything that may happen to them."""

from __future__ import annotations

import faulthandler
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas
import torch

from benchmarks.faults.clock import set_clock
from benchmarks.faults.forks import asked, end, ended, fork
from benchmarks.faults.server import unreliable_server
from benchmarks.faults.warm import Templates, imported, remember, warm_up
from tests.survival.processes import finished_runs, results_of
from unlearnbench.cli import main
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.storage import lease
from unlearnbench.tracking.store import KIND, Store

# So that a process which is stopped for a few seconds has lost its cell.
LEASE_SECONDS = 3.0
DISK_BYTES = 64 << 20
CALM_ATTEMPTS = 4
# Log-likelihoods of a run that goes on from a snapshot are the same up to rounding.
SAME_WITHIN = 1e-3
# What a process says that finds its cell in other hands.
TAKEN_OVER = "another one has taken over"
# A process that has not ended by then never will: that is a problem.
LIMIT_SECONDS = 300.0
# Share of rounds in which nothing is spared: see `warm.Templates`.
SPARES_NOTHING = 0.2
# The base model learns its rows, so that results which were made from damaged weights would be others.
ARGUMENTS = [
    "--preset", "quick", "--tasks", "sst2", "--methods", "ga,npo-rt,spul", "--trials", "2", "--config", "often.yaml",
    "--max-train", "12", "--max-test", "12", "--set", "base.epochs=16", "--set", "base.learning_rate=0.001",
    "--set", "ga.epochs=2", "--set", "npo-rt.epochs=2", "--set", "spul.epochs=2", "--quiet",
]  # fmt: skip


@dataclass
class Arena:
    """A folder for all rounds, and the results of a run that nothing disturbed."""

    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="faults-")))
    undisturbed: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    templates: Templates | None = None

    def __enter__(self) -> Self:
        lease.LEASE_SECONDS = LEASE_SECONDS
        torch.set_num_threads(1)
        (self.root / "often.yaml").write_text("checkpoint_seconds: 0\n", encoding="utf-8")
        warm_up()
        # What a whole run imports, others find imported.
        warm_up(self._calm("first")["imported"])
        made = asked(lambda: {name: str(path) for name, path in vars(Templates.made(self.root / "empty")).items()})
        self.templates = Templates(**{name: Path(path) for name, path in made.items()})
        remember()
        before = cpu_seconds()
        self.undisturbed = self._calm("calm")
        # By CPU time: other work on this machine does not make the rounds longer.
        self.seconds = cpu_seconds() - before
        if not any(metrics["train_retain_accuracy"] > 0.9 for metrics, *_ in self.undisturbed["results"].values()):
            raise RuntimeError("the base model has not learned its rows, so that wrong weights would hardly be noticed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def _calm(self, name: str) -> dict[str, Any]:
        """What a run has found that nothing disturbs, and the modules that it has imported."""
        calm = Match(self.root, self.root / name, self.root / name, random.Random(0), self.templates)
        calm.folder.mkdir()

        def run_and_look() -> dict[str, Any]:
            with suppress(SystemExit):
                calm.run()
            return {**calm.found(None), "imported": imported()}

        found = asked(run_and_look)
        if "results" not in found:
            raise RuntimeError(f"{calm.log.read_text(encoding='utf-8')}{found}")
        return found

    def play(self, seed: int) -> dict[str, Any]:
        """One round."""
        began, cpu_before = time.monotonic(), cpu_seconds()
        generator = random.Random(seed)
        folder = self.root / f"round-{seed}"
        with ExitStack() as stack:
            folder.mkdir()
            disk = folder / "disk"
            disk.mkdir()
            mounted = mount(disk)
            if mounted:
                stack.callback(subprocess.run, ["umount", "--lazy", disk], check=False)
            templates = self.templates if generator.random() >= SPARES_NOTHING else None
            match = Match(self.root, folder, disk, generator, templates, mounted)
            broken: set[str] = set()
            if seed % 4 == 3:
                assert self.templates is not None
                match.uri, broken = stack.enter_context(unreliable_server(folder, self.templates.mlflow))
            stack.callback(match.end_all)
            match.disturb(generator.uniform(0.5, 2.0) * self.seconds)
            problems = match.finish()
            problems += asked(lambda: match.verify(self.undisturbed))["problems"]
            match.faults["claims taken over"] = match.log.read_text(encoding="utf-8").count(TAKEN_OVER)
        match.faults["broken answers"] = len(broken)
        if problems:
            shutil.copy(match.log, Path(tempfile.gettempdir()) / f"faults-{seed}.log")
        shutil.rmtree(folder, ignore_errors=True)
        return {
            "processes": match.processes,
            "faults": {fault: count for fault, count in match.faults.items() if count},
            "seconds": round(time.monotonic() - began),
            "cpu_seconds": round(cpu_seconds() - cpu_before, 1),
            "problems": problems,
        }


@dataclass
class Match:
    """One round: processes, their folders, and what happens to them.

    Attributes:
        disk: holds results and cache; a small file system of its own if `mounted`.
        templates: of databases, if processes need not make them and draw no plots.
        uri: of an MLflow server that breaks answers off, if there is one.
    """

    root: Path
    folder: Path
    disk: Path
    generator: random.Random
    templates: Templates | None = None
    mounted: bool = False
    uri: str | None = None
    faults: Counter[str] = field(default_factory=Counter)
    running: dict[int, float] = field(default_factory=dict)
    moves: int = 0
    processes: int = 0

    @property
    def results(self) -> Path:
        """Where results are now."""
        return self.disk / f"results-{self.moves}"

    @property
    def log(self) -> Path:
        """What all processes print."""
        return self.folder / "log"

    def start(self, skew: float = 0.0) -> int:
        """The command in a process of its own, with a clock that is wrong by `skew` seconds."""
        return fork(lambda: self.run(skew))

    def run(self, skew: float = 0.0) -> int:
        """The command in this process, which should be another one than that of the harness."""
        for name in ("cwd", "home", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        os.chdir(self.folder / "cwd")
        os.environ |= {
            "UNLEARNBENCH_CACHE": str(self.disk / "cache"),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        }
        tempfile.tempdir = None
        sys.stdout = sys.stderr = self.log.open("a", encoding="utf-8", buffering=1)
        faulthandler.enable(self.log.open("a", encoding="utf-8"))
        if self.templates is not None:
            self.templates.use()
        if skew:
            set_clock(skew)
        arguments = [str(self.root / "often.yaml") if one == "often.yaml" else one for one in ARGUMENTS]
        tracking = ["--tracking-uri", self.uri] if self.uri else []
        sys.argv = ["unlearnbench", "run", *arguments, "--results", str(self.results), *tracking]
        main()
        return 0

    def disturb(self, seconds: float) -> None:
        """Keeps two to four processes going for a while, and lets things happen to them."""
        self.processes = self.generator.randint(2, 4)
        actions: list[Callable[[], None]] = [self._kill, self._stop, self._kill, self._stop, self._move]
        if self.mounted:
            actions.append(self._fill)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._reap()
            while len(self.running) < self.processes:
                skew = self.generator.choice([0.0, 0.0, self.generator.uniform(-86_400, 86_400)])
                self.faults["skewed clocks"] += bool(skew)
                self.running[self.start(skew)] = 0.0
            time.sleep(self.generator.uniform(0.1, 0.15 * max(seconds, 4.0)))
            self.generator.choice(actions)()
        self._continue(everybody=True)

    def finish(self) -> list[str]:
        """Lets the processes, or new ones, come to their end without further faults; what went wrong, if anything."""
        codes: list[int | None] = []
        for _ in range(CALM_ATTEMPTS):
            if not self.running:
                self.running[self.start()] = 0.0
            codes = [self._ended(pid) for pid in list(self.running)]
            if None in codes:
                return [f"a process did not end within {LIMIT_SECONDS:g} s: its log says where it was"]
            if codes == [0] * len(codes) or 1 in codes:
                break
        return [] if set(codes) == {0} else [f"the last processes ended with {codes}"]

    def end_all(self) -> None:
        """Ends the processes that are left, if any."""
        for pid in list(self.running):
            self._end(pid)

    def _ended(self, pid: int) -> int | None:
        """A process's exit code; one that does not end is told to write where it is, and killed."""
        code = ended(pid, LIMIT_SECONDS)
        if code is None:
            end(pid, signal.SIGABRT)
        del self.running[pid]
        return code

    def found(self, uri: str | None) -> dict[str, Any]:
        """Results, how often each cell was finished, and failed runs."""
        entries = open_entries(uri or str(self.results))
        store = Store(self.results, uri)
        failed = store._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FAILED'")
        return {
            "results": json.loads(json.dumps(results_of(entries))),
            "likelihoods": {key: likelihoods(store, run.info.run_id) for key, run in store.finished_cells().items()},
            "finished": finished_runs(self.results, uri),
            "failed": [run.data.tags.get("unlearnbench.failure", "") for run in failed],
            "complete": all(entry.config and entry.right for entry in entries),
        }

    def verify(self, undisturbed: dict[str, Any]) -> dict[str, list[str]]:
        """What is not as if nothing had happened."""
        found = self.found(self.uri)
        problems = [f"a cell is recorded as failed: {reason}" for reason in found["failed"]]
        if found["results"] != undisturbed["results"]:
            differ = [key for key, value in undisturbed["results"].items() if found["results"].get(key) != value]
            problems.append(f"{len(differ)} cells lack or differ: {differ}")
        for key, values in undisturbed["likelihoods"].items():
            distance = largest_difference(values, found["likelihoods"].get(key, []))
            if distance > SAME_WITHIN:
                problems.append(f"{key}: log-likelihoods differ by up to {distance:.3g}")
        if set(found["finished"].values()) != {1}:
            problems.append(f"cells were finished {sorted(found['finished'].values())} times")
        if not found["complete"]:
            problems.append("a result has lost its settings or predictions")
        if any((self.folder / "cwd").iterdir()):
            problems.append(f"written outside: {sorted(path.name for path in (self.folder / 'cwd').iterdir())}")
        known = {"cache", self.results.name, "ballast"}
        others = [path.name for path in self.disk.iterdir() if path.name not in known]
        if others:
            problems.append(f"written to a former place: {others}")
        left = [str(path.relative_to(self.results)) for path in (self.results / "work").glob("*/*")]
        if left:
            problems.append(f"left in work: {left}")
        text = self.log.read_text(encoding="utf-8")
        if "Traceback (most recent call last)" in text:
            problems.append(f"a traceback: {text.rstrip().splitlines()[-1]}")
        return {"problems": problems}

    def _kill(self) -> None:
        for pid in self.generator.sample(sorted(self.running), k=min(1, len(self.running))):
            self._end(pid)
            self.faults["kills"] += 1

    def _stop(self) -> None:
        """Stops a process for up to twice the length of a lease."""
        for pid in self.generator.sample(sorted(self.running), k=min(1, len(self.running))):
            os.kill(pid, signal.SIGSTOP)
            self.running[pid] = time.monotonic() + self.generator.uniform(0.2, 2 * LEASE_SECONDS)
            self.faults["stops"] += 1
        self._continue()

    def _continue(self, everybody: bool = False) -> None:
        for pid, until in self.running.items():
            if everybody or (until and time.monotonic() >= until):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                self.running[pid] = 0.0

    def _fill(self) -> None:
        """Fills the disk (bytes, or file names) for a moment."""
        ballast = self.disk / "ballast"
        ballast.mkdir(exist_ok=True)
        inodes = self.generator.random() < 0.5
        with suppress(OSError):
            for number in range(1_000_000):
                (ballast / str(number)).write_bytes(b"" if inodes else bytes(1 << 20))
        time.sleep(self.generator.uniform(0.3, 2.0))
        shutil.rmtree(ballast)
        self.faults["out of inodes" if inodes else "full disks"] += 1

    def _move(self) -> None:
        """Ends all processes, moves the results folder, and flips bytes of files that can be made again."""
        for pid in list(self.running):
            self._end(pid)
        if self.results.is_dir() and self.uri is None:
            before = self.results
            self.moves += 1
            before.rename(self.results)
            self.faults["moves"] += 1
        places = [self.disk / "cache", self.results / "work"]
        files = sorted(file for place in places for file in place.rglob("*") if file.is_file())
        files = [file for file in files if file.suffix != ".lease" and file.stat().st_size]
        for file in self.generator.sample(files, k=min(2, len(files))):
            content = bytearray(file.read_bytes())
            content[self.generator.randrange(len(content))] ^= 1 << self.generator.randrange(8)
            file.write_bytes(content)
            self.faults["flipped bits"] += 1

    def _end(self, pid: int) -> None:
        end(pid)
        self.running.pop(pid, None)

    def _reap(self) -> None:
        self._continue()
        for pid in list(self.running):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.running.pop(pid)


def likelihoods(store: Store, run_id: str) -> list[float]:
    """log p(answer | prompt) of every example, split after split."""
    folder = store.artifacts.find(run_id, "predictions")
    files = sorted(folder.glob("*.parquet")) if folder else []
    return [float(value) for file in files for value in pandas.read_parquet(file)["log_probability"]]


def largest_difference(first: list[float], second: list[float]) -> float:
    """Infinite if they are not as many."""
    if len(first) != len(second):
        return math.inf
    return max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0.0)


def mount(folder: Path) -> bool:
    """Mounts a small file system; whether that is possible here."""
    options = f"size={DISK_BYTES},nr_inodes=4096"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def cpu_seconds() -> float:
    """CPU time of this process and of those that it has started and that have ended."""
    return sum(os.times()[:4])
