"""A wall clock that is off, for one process: what the C library tells, so Python, SQLite and all other libraries."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("skew.c")
# Set for the process in which clocks can be set.
PREPARED = "UNLEARNBENCH_FAULTS_CLOCK"


def with_clock(arguments: Sequence[str]) -> int | None:
    """Starts this program again in a process whose forks can have clocks of their own; returns its exit code.

    None in that process itself, and if there is no C compiler: then only Python's own `time.time` is set.
    """
    if PREPARED in os.environ:
        return None
    with tempfile.TemporaryDirectory(prefix="faults-clock-") as folder:
        prepared = prepared_environment(Path(folder))
        if prepared is None:
            return None
        program = [sys.executable, "-m", "benchmarks.faults", *arguments]
        return subprocess.run(program, env={**os.environ, **prepared}, check=False).returncode


def prepared_environment(folder: Path) -> dict[str, str] | None:
    """Environment variables of a process whose clock can be set, from a library made in the folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = folder / "skew.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), PREPARED: "1"}


def set_clock(seconds: float) -> None:
    """Makes this process's wall clock wrong by so many seconds."""
    if PREPARED in os.environ:
        ctypes.CDLL(None).skew_clock(ctypes.c_longlong(int(seconds)))
    else:
        real = time.time
        time.time = lambda: real() + seconds
