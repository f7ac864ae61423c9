"""Says if a table holds a metric in several definitions or versions."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnbench.identity.ids import MetricId
from unlearnbench.leaderboard.entry import Entry


def metric_notes(entries: Sequence[Entry]) -> list[str]:
    """A sentence for each metric that the rows of a table have from several variants or versions."""
    rows: dict[str, dict[MetricId, list[str]]] = {}
    for entry in entries:
        found = {metric for one in (*entry.identity.splits, *entry.identity.further) for metric in one.metrics}
        for metric in sorted(found, key=_told):
            titles = rows.setdefault(metric.name, {}).setdefault(metric, [])
            titles += [] if entry.title in titles else [entry.title]
    return [
        f"Metric {name} is not the same number in every row: "
        + "; ".join(f"{_told(metric)} in {', '.join(titles)}" for metric, titles in sorted(ids.items(), key=_first))
        + ". `unlearnbench evaluate --metrics` computes one for all."
        for name, ids in sorted(rows.items())
        if len(ids) > 1
    ]


def _told(metric: MetricId) -> str:
    variant = f", {metric.variant}" if metric.variant else ""
    return f"{metric.package} {metric.version}{variant}"


def _first(item: tuple[MetricId, list[str]]) -> str:
    return _told(item[0])
