"""Methods over several tasks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unlearnbench.leaderboard.accuracies import accuracy_score
from unlearnbench.leaderboard.standings import groups, rank_intervals, standings
from unlearnbench.leaderboard.statistics import Estimate, Pair, Score, all_pairs


def exact(*values: float) -> Score:
    """A score of which examples decide nothing."""
    return Score(np.array(values), examples=10**9)


CLEAR = {"a": exact(0.90, 0.91, 0.92), "b": exact(0.50, 0.51, 0.52), "c": exact(0.49, 0.51, 0.53)}


def pair(first: str, second: str, significant: bool) -> Pair:
    return Pair(first, second, Estimate(1.0, 1.0, 1.0), (0.1 if significant else -1.0, 2.0), 3)


def test_ranks_are_those_that_the_tests_leave_open() -> None:
    assert rank_intervals(CLEAR) == {"a": (1, 1), "b": (2, 3), "c": (2, 3)}


def test_few_seeds_leave_every_rank_open() -> None:
    alone = {name: accuracy_score(np.full((1, 50), value)) for name, value in (("a", 1.0), ("b", 0.0))}
    assert rank_intervals(alone) == {"a": (1, 2), "b": (1, 2)}
    assert {one.groups for one in standings([alone, alone])} == {"a"}


def test_mean_ranks_are_scipys() -> None:
    other = {"a": exact(0.2, 0.3, 0.4), "b": exact(0.5, 0.6, 0.7), "c": exact(0.5, 0.6, 0.7)}
    found = {one.name: one for one in standings([CLEAR, other])}
    theirs = sum(stats.rankdata([-scores[name].mean for name in "abc"]) for scores in (CLEAR, other)) / 2
    assert [found[name].rank for name in "abc"] == pytest.approx(list(theirs))
    assert found["a"].score == pytest.approx((0.91 + 0.3) / 2)
    for one in found.values():
        assert one.ranks[0] <= one.rank <= one.ranks[1]
        assert one.interval[0] < one.score < one.interval[1]


def test_standings_begin_with_the_best_and_group_who_cannot_be_told_apart() -> None:
    found = standings([CLEAR, CLEAR])
    assert [(one.name, one.groups) for one in found] == [("a", "a"), ("b", "b"), ("c", "b")]


def test_groups_may_overlap() -> None:
    pairs = [pair("x", "z", True), pair("x", "y", False), pair("y", "z", False)]
    assert groups(["x", "y", "z"], pairs) == {"x": "a", "y": "ab", "z": "b"}
    all_apart = [pair(*names, True) for names in ("xy", "xz", "yz")]
    assert groups(["x", "y", "z"], all_apart) == {"x": "a", "y": "b", "z": "c"}


def test_a_mean_over_tasks_tells_apart_what_one_task_does_not() -> None:
    """A tenth better on each of eight tasks, with a scatter that hides it on any one of them."""
    better, worse = exact(0.55, 0.60, 0.68), exact(0.45, 0.50, 0.58)
    (one,) = all_pairs({"better": better, "worse": worse})
    assert not one.significant
    assert [s.groups for s in standings([{"better": better, "worse": worse}] * 8)] == ["a", "b"]
