"""Joins leaderboards of several people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unlearnbench.errors import UserError
from unlearnbench.leaderboard.entry import Entry

# Two runs of a cell may differ by this much: devices and versions round otherwise.
SAME_WITHIN = 0.02


@dataclass(frozen=True)
class Merged:
    """The joined entries.

    Attributes:
        duplicates: name of each result that came twice, the source it was kept from and the one it was left out of.
    """

    entries: Sequence[Entry]
    duplicates: Sequence[tuple[str, str, str]]


def merge_entries(sources: Mapping[str, Sequence[Entry]]) -> Merged:
    """Joins the entries; of results with one key the first counts.

    Raises:
        UserError: results with one key (the same model, data, settings and seed) contradict each other.
    """
    kept: dict[str, tuple[str, Entry]] = {}
    duplicates = []
    for source, entries in sources.items():
        for entry in entries:
            if entry.key not in kept:
                kept[entry.key] = (source, entry)
                continue
            first_source, first = kept[entry.key]
            metric = contradiction(first, entry)
            if metric is not None:
                raise UserError(
                    f"{entry.name}: {metric} is {first.metrics[metric]:.4f} in {first_source} and "
                    f"{entry.metrics[metric]:.4f} in {source}, though both ran the same cell ({entry.key}): "
                    "find out which is right and leave the other out."
                )
            duplicates.append((entry.name, first_source, source))
    return Merged([entry for _, entry in kept.values()], duplicates)


def contradiction(first: Entry, second: Entry) -> str | None:
    """The first accuracy in which two results of one cell differ by more than rounding explains, or None."""
    for metric in sorted(first.metrics.keys() & second.metrics.keys()):
        if metric.endswith("_accuracy") and abs(first.metrics[metric] - second.metrics[metric]) > SAME_WITHIN:
            return metric
    return None
