"""A metric of two versions or definitions in one table is said."""

from __future__ import annotations

from dataclasses import replace

from tests.leaderboard.entries import ENTRIES
from unlearnbench.identity.ids import MetricId
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import Entry, MetricFacts


def with_metric(entry: Entry, version: str, variant: str = "") -> Entry:
    metric = MetricId("truth_ratio", "ratios", version, variant)
    splits = tuple(replace(split, metrics=(metric,)) for split in entry.identity.splits)
    return entry.model_copy(
        update={
            "identity": replace(entry.identity, splits=splits),
            "metrics": {**entry.metrics, "test_forget_truth_ratio": 0.5},
            "measures": {"truth_ratio": MetricFacts(title="Truth ratio", variant=variant)},
        }
    )


def notes(*entries: Entry) -> list[str]:
    return [note for block in build_blocks(entries) for note in block.notes if note.startswith("Metric ")]


def test_versions_and_variants_are_told_apart() -> None:
    spul, vanilla, ga, base = ENTRIES
    assert notes(*(with_metric(entry, "1") for entry in ENTRIES)) == []
    assert notes(with_metric(spul, "1"), vanilla, with_metric(ga, "2"), base) == [
        "Metric truth_ratio is not the same number in every row: ratios 1 in SPUL; ratios 2 in GA. "
        "`unlearnbench evaluate --metrics` computes one for all."
    ]
    (note,) = notes(with_metric(spul, "1", "of 2024"), with_metric(ga, "1", "of 2025"), vanilla, base)
    assert "ratios 1, of 2024 in SPUL; ratios 1, of 2025 in GA" in note


def test_variant_is_part_of_the_key_and_none_keeps_it() -> None:
    entry = ENTRIES[0]
    keys = {with_metric(entry, "1", variant).key for variant in ("", "of 2024", "of 2025")}
    assert len(keys) == 3
