"""Joins leaderboards of several people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import stdev

from unlearnbench.errors import UserError
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.grouping import line_key
from unlearnbench.leaderboard.sets import evaluated, prefix
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS

# Two evaluations of one model may differ by this much: passes are cut otherwise, and round otherwise.
SAME_WITHIN = 0.02


@dataclass(frozen=True)
class Merged:
    """The joined entries.

    Attributes:
        duplicates: name of each result that came twice, the source whose result counts, and that of the one left out.
    """

    entries: Sequence[Entry]
    duplicates: Sequence[tuple[str, str, str]]


def merge_entries(sources: Mapping[str, Sequence[Entry]]) -> Merged:
    """Joins the entries, oldest first; of results with one key the newest counts. The order of sources does not matter.

    Raises:
        UserError: results with one key (the same model, data, settings and seed) contradict each other.
    """
    kept: dict[str, tuple[str, Entry]] = {}
    duplicates = []
    ordered = _in_order(sources)
    for source, entry in ordered:
        if entry.key in kept:
            older_source, older = kept.pop(entry.key)
            seeds = [one for _, one in ordered if line_key(one) == line_key(entry)]
            metric = contradiction(older, entry, seeds)
            if metric is not None:
                raise UserError(
                    f"{entry.name}: {metric} is {older.metrics[metric]:.4f} in {older_source} and "
                    f"{entry.metrics[metric]:.4f} in {source}, though both ran the same cell ({entry.key}): "
                    "find out which is right and leave the other out."
                )
            duplicates.append((entry.name, source, older_source))
        kept[entry.key] = (source, entry)
    return Merged([entry for _, entry in kept.values()], duplicates)


def _in_order(sources: Mapping[str, Sequence[Entry]]) -> list[tuple[str, Entry]]:
    """All entries with their sources, oldest first; those of one source stay in its order, whatever its clock said."""
    placed = []
    for source, entries in sources.items():
        latest = datetime.min.replace(tzinfo=UTC)
        for position, entry in enumerate(entries):
            latest = max(latest, entry.recorded)
            placed.append((latest, source, position, entry))
    return [(source, entry) for _, source, _, entry in sorted(placed, key=lambda one: one[:3])]


def contradiction(first: Entry, second: Entry, seeds: Sequence[Entry]) -> str | None:
    """The first accuracy in which two results of one cell differ by more than chance explains, or None.

    On the same hardware, with as many threads and the same versions, a cell comes back as it was. Elsewhere it is
    trained with other rounding, which is a source of chance like the seed: the two may differ as two seeds do.

    Args:
        seeds: all known results of the row with the same settings, oldest first: they tell how far its seeds lie
            apart; of several results of one seed the oldest counts.
    """
    oldest = {entry.seed: entry for entry in reversed(seeds)}
    same = _where(first) == _where(second)
    both = first.metrics.keys() & second.metrics.keys()
    for metric in [f"{prefix(name)}_accuracy" for name in evaluated(first) if f"{prefix(name)}_accuracy" in both]:
        values = [entry.metrics[metric] for entry in oldest.values() if metric in entry.metrics]
        allowed = SAME_WITHIN if same or first.seed is None else _between_seeds(values)
        if abs(first.metrics[metric] - second.metrics[metric]) > allowed:
            return metric
    return None


def _where(entry: Entry) -> tuple[object, ...]:
    return entry.hardware, entry.versions, entry.identity.machine


def _between_seeds(values: Sequence[float]) -> float:
    """How far two of a row's seeds lie apart in 999 of 1000 cases; anything if too few are known to tell."""
    from scipy.special import stdtrit

    if len(values) < FEWEST_SEEDS:
        return 1.0
    return max(SAME_WITHIN, float(stdtrit(len(values) - 1, 0.9995)) * stdev(values) * 2**0.5)
