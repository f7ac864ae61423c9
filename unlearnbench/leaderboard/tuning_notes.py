"""What a table says about the tuning behind its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from unlearnbench.leaderboard.blocks import Block, Line


def tuning_notes(block: Block) -> list[str]:
    """One sentence for each seed on which several were tuned, and one for values at an end of their range."""
    lines = [line for line in block.lines if line.competes]
    tuned: dict[int, list[str]] = defaultdict(list)
    for line in lines:
        for seed in {entry.tuned_on for entry in line.entries if entry.tuned_on is not None}:
            tuned[seed].append(line.title)
    notes = [
        f"Tuned on seed {seed}, whose values the other seeds take: {', '.join(titles)}. What they differ by over seeds "
        "leaves out the luck of the search."
        for seed, titles in sorted(tuned.items())
    ]
    found = [text for line in lines for text in _edges(line)]
    if found:
        where = "Best value at an end of the range that was searched, so better ones may lie beyond"
        notes.append(f"{where}: {', '.join(found)}.")
    return notes


def _edges(line: Line) -> list[str]:
    """Each value of the line at an end of its range, and for which seeds."""
    seeds: Mapping[tuple[str, str], set[str]] = defaultdict(set)
    for entry in line.entries:
        for name, side in entry.edges.items():
            seeds[name, side].add(str(entry.seed if entry.tuned_on is None else entry.tuned_on))
    return [
        f"{line.title} {name} ({side} end, seed {', '.join(sorted(of))})" for (name, side), of in sorted(seeds.items())
    ]
