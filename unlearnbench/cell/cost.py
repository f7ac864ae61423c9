"""What a stage costs: seconds on the clock, seconds on the GPU, peak memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self")


@dataclass
class Cost:
    """Cost of a stage.

    Attributes:
        wall_seconds: time on the clock.
        gpu_seconds: time between CUDA events around the stage, 0 without a GPU.
        peak_memory_bytes: most GPU memory allocated at once; without a GPU the process's largest resident set during
            the stage, on systems other than Linux since the process began (Windows: of its working set).
    """

    wall_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.wall_seconds + other.wall_seconds,
            self.gpu_seconds + other.gpu_seconds,
            max(self.peak_memory_bytes, other.peak_memory_bytes),
        )


@contextmanager
def measured() -> Iterator[Cost]:
    """Measures the block; the yielded cost is filled in when it ends.

    Of nested blocks only the innermost's peak is right.
    """
    import torch

    cost = Cost()
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
    else:
        _forget_peak_resident()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        if gpu:
            end.record()
            torch.cuda.synchronize()
            cost.gpu_seconds = begin.elapsed_time(end) / 1000
            cost.peak_memory_bytes = torch.cuda.max_memory_allocated()
        else:
            cost.peak_memory_bytes = _peak_resident_bytes()
        cost.wall_seconds = time.perf_counter() - start


def _forget_peak_resident() -> None:
    """Lets the next peak of the resident set begin from now; only Linux can."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5", encoding="ascii")


def _peak_resident_bytes() -> int:
    with suppress(OSError):
        for line in (PROCESS / "status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # Windows has no such module.
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
