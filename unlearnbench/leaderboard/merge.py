"""Joins leaderboards of several people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from unlearnbench.errors import UserError
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS

# Two evaluations of one model may differ by this much: passes are cut otherwise, and round otherwise.
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
            seeds = [one for of_source in sources.values() for one in of_source if _line(one) == _line(entry)]
            metric = contradiction(first, entry, seeds)
            if metric is not None:
                raise UserError(
                    f"{entry.name}: {metric} is {first.metrics[metric]:.4f} in {first_source} and "
                    f"{entry.metrics[metric]:.4f} in {source}, though both ran the same cell ({entry.key}): "
                    "find out which is right and leave the other out."
                )
            duplicates.append((entry.name, first_source, source))
    return Merged([entry for _, entry in kept.values()], duplicates)


def _line(entry: Entry) -> tuple[str, str, str, str]:
    """What the results of a row's seeds share."""
    return entry.task, entry.model, entry.block, entry.row


def contradiction(first: Entry, second: Entry, seeds: Sequence[Entry]) -> str | None:
    """The first accuracy in which two results of one cell differ by more than chance explains, or None.

    On the same hardware, with as many threads and the same versions, a cell comes back as it was. Elsewhere it is
    trained with other rounding, which is a source of chance like the seed: the two may differ as two seeds do.

    Args:
        seeds: all known results of the row, which tell how far its seeds lie apart; of several results of one seed the
            oldest counts.
    """
    oldest = {entry.seed: entry for entry in sorted(seeds, key=lambda entry: entry.recorded, reverse=True)}
    same = (first.hardware, first.versions) == (second.hardware, second.versions)
    for metric in sorted(first.metrics.keys() & second.metrics.keys()):
        if not metric.endswith("_accuracy"):
            continue
        values = [entry.metrics[metric] for entry in oldest.values() if metric in entry.metrics]
        allowed = SAME_WITHIN if same or first.seed is None else _between_seeds(values)
        if abs(first.metrics[metric] - second.metrics[metric]) > allowed:
            return metric
    return None


def _between_seeds(values: Sequence[float]) -> float:
    """How far two of a row's seeds lie apart in 999 of 1000 cases; anything if too few are known to tell."""
    from scipy.special import stdtrit

    if len(values) < FEWEST_SEEDS:
        return 1.0
    return max(SAME_WITHIN, float(stdtrit(len(values) - 1, 0.9995)) * stdev(values) * 2**0.5)
