"""Joining leaderboards of several people."""

from __future__ import annotations

import pytest

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.errors import UserError
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


def test_rounding_is_no_contradiction() -> None:
    other = ENTRIES[0].model_copy(update={"metrics": {**ENTRIES[0].metrics, "test_forget_accuracy": 0.11}})
    assert len(merge_entries({"a": ENTRIES, "b": [other]}).duplicates) == 1
