"""Where the time of our step goes, by operation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity

from benchmarks.cases import Case
from benchmarks.measure import seconds_of

SHOWN = 12
# What the host calls to start a kernel, and where it waits for the device.
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


@dataclass(frozen=True)
class Profile:
    """A step of ours.

    Attributes:
        seconds: of the step, without the profiler.
        busy: seconds of the device's own operations; on a CPU about `seconds`.
        launches, waits: kernels that were launched, and times that the host waited for the device; 0 on a CPU.
    """

    seconds: float
    busy: float
    launches: int
    waits: int


def write_profile(case: Case, file: Path) -> Profile:
    """Operations of our side of the case with their own seconds, slowest first, as a Markdown table."""
    case.clear()
    case.ours()
    case.clear()
    seconds = seconds_of(case.ours, case.device)
    case.clear()
    on_gpu = case.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.profiler.profile(activities=activities) as profile:
        seconds_of(case.ours, case.device)
    events = profile.key_averages()
    own = {event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total for event in events}
    calls = {event.key: event.count for event in events}
    if on_gpu:
        # The profiler counts a kernel's time for the operation that launched it, too.
        own = {event.key: own[event.key] for event in events if event.device_type == torch.autograd.DeviceType.CUDA}
    total = sum(own.values())
    lines = ["| operation | seconds | share | calls |", "|---|---:|---:|---:|"]
    for key in sorted(own, key=lambda key: -own[key])[:SHOWN]:
        share = 100 * own[key] / total if total else 0.0
        lines.append(f"| `{key}` | {own[key] / 1e6:.{4 if on_gpu else 2}f} | {share:.0f} % | {calls[key]} |")
    lines.append(f"| all | {total / 1e6:.{4 if on_gpu else 2}f} | 100 % | |")
    file.write_text(f"{case.name}, our side.\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    launches, waits = (sum(calls.get(name, 0) for name in names) for names in (LAUNCHES, WAITS))
    return Profile(seconds, total / 1e6, launches, waits)
