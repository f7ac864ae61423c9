"""Joining leaderboards of several people."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.leaderboard.entries import ENTRIES, MACHINE, entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.merge import merge_entries


def test_results_are_joined_and_duplicates_named() -> None:
    more = entry("npo-rt", 0.2, 0.7)
    merged = merge_entries({"a": ENTRIES, "b": [ENTRIES[0], more]})
    assert merged.entries == [*ENTRIES[1:], ENTRIES[0], more]
    assert merged.duplicates == [("m / sst2 / seed 0 / spul", "b", "a")]


def test_contradictions_are_refused() -> None:
    other = entry("spul", 0.4, 0.8)
    with pytest.raises(UserError, match=r"spul: test_forget_accuracy is 0.1000 in a and 0.4000 in b"):
        merge_entries({"a": ENTRIES, "b": [other]})


LATER = datetime(2026, 11, 22, tzinfo=UTC)


def elsewhere(row: str, forget: float, seed: int) -> Entry:
    return entry(row, forget, 0.8, seed=seed, hardware={"cpu": "another"}, recorded=LATER)


def test_a_rerun_elsewhere_may_differ_as_seeds_do() -> None:
    """Seeds lie at 0.1, 0.2 and 0.3: two of them differ by up to t(0.9995, 2) sqrt(2) 0.1."""
    here = [entry("spul", 0.1 * (seed + 1), 0.8, seed=seed) for seed in range(3)]
    later = elsewhere("spul", 0.6, seed=0)
    merged = merge_entries({"a": here, "b": [later]})
    assert merged.entries == [*here[1:], later]
    assert len(merged.duplicates) == 1


def test_a_rerun_elsewhere_may_not_differ_by_more_than_seeds_do() -> None:
    here = [entry("spul", 0.1, 0.8, seed=seed) for seed in range(3)]
    with pytest.raises(UserError, match="test_forget_accuracy is 0.1000 in a and 0.9000 in b"):
        merge_entries({"a": here, "b": [elsewhere("spul", 0.9, seed=0)]})


def test_one_seed_cannot_contradict_a_rerun_elsewhere() -> None:
    later = elsewhere("spul", 0.9, seed=0)
    assert merge_entries({"a": [entry("spul", 0.1, 0.8)], "b": [later]}).entries == [later]


def test_rounding_is_no_contradiction() -> None:
    other = ENTRIES[0].model_copy(update={"metrics": {**ENTRIES[0].metrics, "test_forget_accuracy": 0.11}})
    assert len(merge_entries({"a": ENTRIES, "b": [other]}).duplicates) == 1


def test_the_order_of_sources_does_not_matter() -> None:
    older = entry("spul", 0.1, 0.8, fixed={"alpha": 1.0}, recorded=datetime(2026, 1, 1, tzinfo=UTC))
    newer = entry("spul", 0.5, 0.5, fixed={"alpha": 0.5}, recorded=datetime(2026, 1, 2, tzinfo=UTC))
    same = entry("ga", 0.5, 0.5)
    sources = {"a": [older, same], "b": [newer, same]}
    merged = [merge_entries(dict(one)) for one in (sources.items(), reversed(sources.items()))]
    assert merged[0] == merged[1]
    (block,) = build_blocks(merged[0].entries)
    assert next(line for line in block.lines if line.row == "spul").entries == (newer,)


def test_a_clock_that_was_set_back_does_not_matter_within_a_source() -> None:
    first = entry("spul", 0.1, 0.8, fixed={"alpha": 1.0}, recorded=datetime(2026, 6, 1, tzinfo=UTC))
    second = entry("spul", 0.5, 0.5, fixed={"alpha": 0.5}, recorded=datetime(2020, 1, 1, tzinfo=UTC))
    between = entry("ga", 0.5, 0.5, recorded=datetime(2026, 1, 1, tzinfo=UTC))
    assert merge_entries({"a": [first, second], "b": [between]}).entries == [between, first, second]


def test_another_machine_is_chance_and_no_contradiction() -> None:
    other = entry("spul", 0.4, 0.8, machine=replace(MACHINE, threads=8))
    assert other.key == ENTRIES[0].key
    assert merge_entries({"a": ENTRIES, "b": [other]}).duplicates == [("m / sst2 / seed 0 / spul", "b", "a")]
