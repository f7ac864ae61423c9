"""What a stage costs: seconds on the clock, seconds on the GPU, peak memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self")
# How often the resident set is looked at if the system does not keep its peak by stage.
SAMPLE_SECONDS = 0.05


@dataclass
class Cost:
    """Cost of a stage.

    Attributes:
        wall_seconds: time on the clock.
        gpu_seconds: time between CUDA events around the stage, 0 without a GPU.
        peak_memory_bytes: most GPU memory allocated at once; without a GPU the process's largest resident set during
            the stage, on systems other than Linux the largest of samples, twenty a second.
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
    with ExitStack() as stack:
        if gpu:
            torch.cuda.reset_peak_memory_stats()
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
        else:
            stack.enter_context(_peak_resident(cost))
        start = time.perf_counter()
        try:
            yield cost
        finally:
            if gpu:
                end.record()
                torch.cuda.synchronize()
                cost.gpu_seconds = begin.elapsed_time(end) / 1000
                cost.peak_memory_bytes = torch.cuda.max_memory_allocated()
            cost.wall_seconds = time.perf_counter() - start


@contextmanager
def _peak_resident(cost: Cost) -> Iterator[None]:
    """Fills in the largest resident set during the block."""
    if not _forget_peak():
        with _sampled_resident(cost):
            yield
        return
    try:
        yield
    finally:
        cost.peak_memory_bytes = _kept_peak()


def _forget_peak() -> bool:
    """Lets the kernel begin the peak of the resident set anew; whether it can: only Linux does."""
    try:
        (PROCESS / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return _kept_peak() > 0


def _kept_peak() -> int:
    """Bytes; 0 if the kernel keeps none."""
    for line in (PROCESS / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def _sampled_resident(cost: Cost) -> Iterator[None]:
    import psutil

    process, over = psutil.Process(), threading.Event()

    def sample() -> None:
        ended = False
        while not ended:
            cost.peak_memory_bytes = max(cost.peak_memory_bytes, int(process.memory_info().rss))
            ended = over.wait(SAMPLE_SECONDS)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield
    finally:
        over.set()
        sampler.join()
