"""CPU threads: how many a model uses, and how they wait for one another."""

from __future__ import annotations

import os

from unlearnbench.config import ModelConfig
from unlearnbench.models.loading import model_size
from unlearnbench.models.resolve import ResolvedModel

# Environment variables that control how OpenMP's threads wait: libgomp, which comes with torch's CPU builds for Linux,
# reads the first two; LLVM's and Intel's libraries read the first and the last.
WAIT_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# With fewer weights per thread, distributing work costs more than it saves (`python -m benchmarks.threads scaling`).
WEIGHTS_PER_THREAD = 16_000_000


def wait_passively() -> None:
    """Makes threads sleep while they wait, unless the user has set their policy; call it before torch is imported.

    By default they spin, and a spinning thread takes a core from another program, or from the very thread that it waits
    for.
    """
    if not any(name in os.environ for name in WAIT_SETTINGS):
        os.environ["OMP_WAIT_POLICY"] = "passive"


def wait_setting() -> str:
    """How threads wait, according to the environment."""
    settings = [f"{name}={os.environ[name]}" for name in WAIT_SETTINGS if name in os.environ]
    return ", ".join(settings) or "OpenMP's default (they spin)"


def cores() -> int:
    """Number of CPU cores that this process may use, given its affinity and its container's quota."""
    import joblib

    return int(joblib.cpu_count())


def threads_for(config: ModelConfig, model: ResolvedModel) -> int:
    """Number of threads: as configured, else OMP_NUM_THREADS, else as many as the model's size can use.

    It depends on nothing that changes between two runs on one machine, since the number of threads determines the order
    of summation, and so the last digits of a result.
    """
    return config.threads or asked_threads() or suitable_threads(model_size(model).parameters, cores())


def suitable_threads(parameters: int, available: int) -> int:
    """Number of the available threads that a model with this many weights can use."""
    return max(1, min(available, parameters // WEIGHTS_PER_THREAD))


def asked_threads() -> int | None:
    """OMP_NUM_THREADS; if it is a list with a number per level of nesting, the first, since only one level is used."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
