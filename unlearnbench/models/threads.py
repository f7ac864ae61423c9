"""CPU threads: how many a model computes with, and how they wait for one another."""

from __future__ import annotations

import os

from unlearnbench.config import ModelConfig
from unlearnbench.models.loading import model_size
from unlearnbench.models.resolve import ResolvedModel

# What decides how OpenMP's threads wait: libgomp, which comes with torch's CPU builds for Linux, reads the first two;
# LLVM's and Intel's libraries read the first and the last.
WAIT_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# With fewer weights a thread, handing work out takes longer than it saves (`python -m benchmarks.threads scaling`).
WEIGHTS_PER_THREAD = 16_000_000


def wait_passively() -> None:
    """Lets threads sleep while they wait, unless the user has said how they should; must come before torch's import.

    By default they spin, and a spinning thread takes a core from whoever needs it: another program, or the very thread
    that is waited for.
    """
    if not any(name in os.environ for name in WAIT_SETTINGS):
        os.environ["OMP_WAIT_POLICY"] = "passive"


def wait_setting() -> str:
    """How threads wait, as the environment says it."""
    given = [f"{name}={os.environ[name]}" for name in WAIT_SETTINGS if name in os.environ]
    return ", ".join(given) or "OpenMP's default (they spin)"


def cores() -> int:
    """CPU cores that this process may use, by its affinity and its container's quota."""
    import joblib

    return int(joblib.cpu_count())


def threads_for(config: ModelConfig, model: ResolvedModel) -> int:
    """Threads to compute with: as configured, else OMP_NUM_THREADS, else as many as the model's size can use.

    Depends on nothing that changes between two runs on one machine: the number of threads decides in which order sums
    are taken, and so the last digits of a result.
    """
    return config.threads or asked_threads() or suitable_threads(model_size(model).parameters, cores())


def suitable_threads(parameters: int, available: int) -> int:
    """Threads that a model of so many weights can use, of those available."""
    return max(1, min(available, parameters // WEIGHTS_PER_THREAD))


def asked_threads() -> int | None:
    """OMP_NUM_THREADS; a list has a number for each level of nesting, of which there is one here."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
