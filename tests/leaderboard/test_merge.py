"""Joining leaderboards of several people."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.merge import merge_entries


def test_results_are_joined_and_duplicates_named() -> None:
    more = entry("npo-rt", 0.2, 0.7)
    merged = merge_entries({"a": ENTRIES, "b": [ENTRIES[0], more]})
    assert merged.entries == [*ENTRIES, more]
    assert merged.duplicates == [("m / sst2 / seed 0 / spul", "a", "b")]


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
    merged = merge_entries({"a": here, "b": [elsewhere("spul", 0.6, seed=0)]})
    assert merged.entries == here
    assert len(merged.duplicates) == 1


def test_a_rerun_elsewhere_may_not_differ_by_more_than_seeds_do() -> None:
    here = [entry("spul", 0.1, 0.8, seed=seed) for seed in range(3)]
    with pytest.raises(UserError, match="test_forget_accuracy is 0.1000 in a and 0.9000 in b"):
        merge_entries({"a": here, "b": [elsewhere("spul", 0.9, seed=0)]})


def test_one_seed_cannot_contradict_a_rerun_elsewhere() -> None:
    here = [entry("spul", 0.1, 0.8)]
    assert merge_entries({"a": here, "b": [elsewhere("spul", 0.9, seed=0)]}).entries == here


def test_rounding_is_no_contradiction() -> None:
    other = ENTRIES[0].model_copy(update={"metrics": {**ENTRIES[0].metrics, "test_forget_accuracy": 0.11}})
    assert len(merge_entries({"a": ENTRIES, "b": [other]}).duplicates) == 1
