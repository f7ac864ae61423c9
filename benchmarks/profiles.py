"""Where the time of our step goes, by operation."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.cases import Case

SHOWN = 12


def write_profile(case: Case, file: Path) -> None:
    """Operations of our side of the case with their own seconds, slowest first, as a Markdown table."""
    case.clear()
    case.ours()
    case.clear()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        case.ours()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    lines = ["| operation | seconds | share | calls |", "|---|---:|---:|---:|"]
    for event in events[:SHOWN]:
        own = event.self_cpu_time_total
        lines.append(f"| `{event.key}` | {own / 1e6:.2f} | {100 * own / total:.0f} % | {event.count} |")
    lines.append(f"| all | {total / 1e6:.2f} | 100 % | |")
    file.write_text(f"{case.name}, our side.\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
