"""One mutant in a copy of the checkout, and the tests that belong to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants.sample import Mutant

COPIED = ("unlearnbench", "methods", "metrics", "tasks", "tests", "benchmarks", "examples", "leaderboards", "docs")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "mkdocs.yml", "constraints.txt")
# The packages that are not named like their folders.
ALIASES = {f"unlearnbench_{name}": name for name in ("methods", "metrics", "tasks")}
NOTICED, SURVIVED, TOO_LONG = "noticed", "survived", "noticed: no end"


@dataclass(frozen=True)
class Copy:
    """A copy of the checkout that mutants are written into."""

    root: Path

    @classmethod
    def of(cls, checkout: Path, root: Path) -> Copy:
        """Copies what the tests need."""
        for name in COPIED:
            shutil.copytree(checkout / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy2(checkout / name, root / name)
        for alias, name in ALIASES.items():
            (root / alias).symlink_to(name)
        return cls(root)

    def judge(self, mutant: Mutant, stages: Sequence[Sequence[str]], seconds: float) -> str:
        """Whether a stage of tests notices the mutant; the later stages run if the earlier do not.

        Args:
            stages: arguments of pytest.
            seconds: a stage may take.
        """
        file = self.root / mutant.module
        whole = file.read_text(encoding="utf-8")
        try:
            file.write_text(mutant.code(self.root), encoding="utf-8")
            for stage in stages:
                outcome = self.tests(stage, seconds)
                if outcome != SURVIVED:
                    return outcome
            return SURVIVED
        finally:
            file.write_text(whole, encoding="utf-8")

    def tests(self, arguments: Sequence[str], seconds: float) -> str:
        """Runs pytest in a child of this process, which has imported the slow libraries already."""
        child = os.fork()
        if child == 0:
            os.setsid()
            os._exit(self._pytest(arguments))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return SURVIVED if os.waitstatus_to_exitcode(status) in (0, 5) else NOTICED
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return TOO_LONG

    def _pytest(self, arguments: Sequence[str]) -> int:
        import pytest

        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            os.chdir(self.root)
            sys.dont_write_bytecode = True
            os.environ |= {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
            sys.path[:] = [str(self.root), *(path for path in sys.path if path not in ("", os.getcwd()))]
            for name in [
                name for name in sys.modules if name.partition(".")[0] in ("unlearnbench", "benchmarks", *ALIASES)
            ]:
                del sys.modules[name]
            return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments]))


def warm_up() -> None:
    """Imports what every test process would import again."""
    for name in (
        "torch",
        "transformers",
        "peft",
        "pandas",
        "scipy.stats",
        "sklearn.cluster",
        "optuna",
        "mlflow",
        "datasets",
    ):
        __import__(name)


def commit(checkout: Path) -> str:
    """The commit that the mutants change."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
