"""Intervals and tests agree with SciPy's and with closed forms, and hold their level where the truth is known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulation import Seeds, accuracies, results, true_trade_off
from unlearnbench.leaderboard import statistics
from unlearnbench.leaderboard.accuracies import accuracy_score
from unlearnbench.leaderboard.statistics import (
    SHARED_BY_EXAMPLES,
    Estimate,
    Score,
    all_pairs,
    critical,
    detectable_difference,
    difference,
    differs,
    estimate,
    holm,
    interval,
    mean_of,
    surely_below_zero,
    two_sided,
    wilson,
)


def exact(values: list[float]) -> Score:
    """A score of which examples decide nothing."""
    return Score(np.array(values), examples=10**9)


@pytest.fixture
def unraised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample variances as they are, so that textbook procedures come out."""
    monkeypatch.setattr(statistics, "_median_unbiased", lambda freedom: 1.0)


def test_variance_is_that_of_seeds_and_the_covariance_that_examples_cause() -> None:
    right = (np.random.default_rng(1).random((4, 50)) < [[0.3], [0.5], [0.6], [0.9]]).astype(float)
    shared = np.cov(right)[np.triu_indices(4, 1)].mean() / 50
    factor = 3 / stats.chi2.median(3)
    of_seeds = factor * right.mean(1).var(ddof=1) / 4
    found = estimate(accuracy_score(right))
    assert found.value == pytest.approx(right.mean())
    assert found.variance == pytest.approx(of_seeds + shared)
    assert found.freedom == pytest.approx((of_seeds + shared) ** 2 / (of_seeds**2 / 3 + shared**2 / 49))


def test_variance_is_not_below_that_over_examples() -> None:
    right = np.tile((np.arange(40) < 30).astype(float), (3, 1))
    assert estimate(accuracy_score(right)).variance == pytest.approx(np.var(right[0], ddof=1) / 40)


def test_raised_variance_is_as_often_too_large_as_too_small() -> None:
    samples = np.random.default_rng(0).standard_normal((20_000, 3)).var(axis=1, ddof=1)
    assert np.mean(samples * statistics._median_unbiased(2) > 1) == pytest.approx(0.5, abs=0.01)
    assert np.mean(samples > 1) < 0.4


def test_interval_of_one_seed_is_wilsons_over_examples() -> None:
    right = (np.random.default_rng(2).random((1, 5000)) < 0.9).astype(float)
    theirs = stats.binomtest(int(right.sum()), 5000).proportion_ci(method="wilson")
    assert interval(accuracy_score(right)) == pytest.approx((theirs.low, theirs.high), abs=2e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("seeds", [1, 3])
def test_accuracy_of_0_or_1_has_an_interval(value: float, seeds: int) -> None:
    low, high = interval(accuracy_score(np.full((seeds, 100), value)))
    # Closed form: t^2 / (n + t^2).
    square = stats.t.ppf(0.975, 99 if seeds == 1 else 2) ** 2
    assert high - low == pytest.approx(square / (100 + square))
    assert value in (low, high)


def test_wilson_form_stays_between_0_and_1_with_any_variance() -> None:
    for variance in (1e-9, 0.01, 0.2):
        low, high = wilson(Estimate(0.02, variance, 2.0), 50, 4.3)
        assert 0 <= low < 0.02 < high <= 1


@pytest.mark.usefixtures("unraised")
def test_difference_is_welchs() -> None:
    first, second = [0.5, 0.7, 0.8, 0.55], [0.2, 0.3, 0.25]
    theirs = stats.ttest_ind(first, second, equal_var=False)
    found = difference(exact(first), exact(second))
    assert found is not None
    assert (found.statistic, found.freedom) == pytest.approx((theirs.statistic, theirs.df))
    bounds = theirs.confidence_interval()
    assert two_sided(found) == pytest.approx((bounds.low, bounds.high))


@pytest.mark.usefixtures("unraised")
def test_all_pairs_are_games_and_howells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_rounded_down", lambda freedom: freedom)
    samples = {"a": [0.5, 0.7, 0.8, 0.55], "b": [0.2, 0.3, 0.25], "c": [0.1, 0.9, 0.4, 0.6, 0.5]}
    theirs = stats.tukey_hsd(*samples.values(), equal_var=False)
    bounds = theirs.confidence_interval(0.95)
    ours = all_pairs({name: exact(values) for name, values in samples.items()})
    assert [(pair.first, pair.second) for pair in ours] == [("a", "b"), ("a", "c"), ("b", "c")]
    for pair, place in zip(ours, combinations(range(3), 2), strict=True):
        assert pair.p_value == pytest.approx(theirs.pvalue[place], abs=1e-6)
        assert pair.interval == pytest.approx((bounds.low[place], bounds.high[place]), abs=1e-6)
        assert pair.significant == (theirs.pvalue[place] < 0.05)


def test_two_methods_alone_are_students_test_and_rounding_is_cautious() -> None:
    assert critical(2, 4.0) == pytest.approx(stats.t.ppf(0.975, 4))
    assert critical(2, 4.2) == critical(2, 4.0) > stats.t.ppf(0.975, 4.2)


def test_examples_are_paired() -> None:
    """Two methods that err on the same hard examples are told apart more surely than two that err on others."""
    generator = np.random.default_rng(3)
    hard = generator.random(400) < 0.4
    first = np.where(hard, 0.0, 1.0) * np.ones((3, 1))
    second = np.where(generator.random((3, 400)) < 0.05, 0.0, first)
    elsewhere = second[:, generator.permutation(400)]
    paired, other = (difference(accuracy_score(first), accuracy_score(side)) for side in (second, elsewhere))
    assert paired is not None
    assert other is not None
    assert paired.value == pytest.approx(other.value)
    assert paired.variance < other.variance / 3


def test_unknown_predictions_are_taken_for_the_worst_case() -> None:
    values = np.array([0.5, 0.6, 0.7])
    unknown = Score(values, example_variance=0.002, examples=100)
    assert estimate(unknown).variance == pytest.approx(2 / stats.chi2.median(2) * 0.01 / 3 + 0.002)


def test_few_seeds_claim_nothing_between_methods() -> None:
    good, bad = np.ones((2, 200)), np.zeros((2, 200))
    for seeds in (1, 2):
        assert difference(accuracy_score(good[:seeds]), accuracy_score(np.zeros((3, 200)))) is None
        assert all_pairs({"good": accuracy_score(good[:seeds]), "bad": accuracy_score(bad[:seeds])}) == []


def test_a_sign_is_never_lost() -> None:
    """Better by ten points at every seed, which the two have only in part in common: never surely worse."""
    better, worse = exact([0.9, 0.5, 0.7]), exact([0.8, 0.4, 0.6])
    found = difference(better, worse)
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert surely_below_zero({"x": found}) == frozenset()
    flipped = Estimate(-0.5, 0.001, 4.0)
    assert surely_below_zero({"x": flipped}) == {"x"}
    assert surely_below_zero({"x": Estimate(0.5, 0.001, 4.0)}) == frozenset()


def test_equal_methods_do_not_differ() -> None:
    same = accuracy_score(np.tile([1.0, 0.0], (3, 50)))
    found = difference(same, same)
    assert found is not None
    assert found.statistic == 0
    assert [pair.p_value for pair in all_pairs({"a": same, "b": same})] == [1.0]


def test_all_or_nothing_differ_although_nothing_scatters() -> None:
    found = difference(accuracy_score(np.ones((3, 100))), accuracy_score(np.zeros((3, 100))))
    assert found is not None
    assert found.variance == pytest.approx(1e-4)
    assert found.freedom == 2
    assert differs(found, 6)


def test_holm_multiplies_the_smallest_by_their_number_and_keeps_order() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_many_differences_are_corrected_for_their_number() -> None:
    """One-sided p of 0.02: sure if it is the only one, not one of ten."""
    one = Estimate(float(stats.t.ppf(0.02, 8)), 1.0, 8.0)
    assert surely_below_zero({"0": one}) == {"0"}
    assert surely_below_zero({str(number): one for number in range(10)}) == frozenset()


def test_mean_over_tasks_adds_variances() -> None:
    found = mean_of([Estimate(0.2, 0.04, 3.0), Estimate(0.6, 0.01, 10.0)])
    assert found.value == pytest.approx(0.4)
    assert found.variance == pytest.approx(0.0125)
    assert found.freedom == pytest.approx(0.0125**2 / (0.01**2 / 3 + 0.0025**2 / 10))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "examples", "between"), [(3, 150, 0.03), (5, 150, 0.1), (10, 24, 0.03), (10, 150, 0.03), (20, 60, 0.0)]
)
def test_what_a_plan_promises_is_found_about_four_times_in_five(seeds: int, examples: int, between: float) -> None:
    size = detectable_difference(seeds, examples, 6, between)
    assert size is not None
    generator, found = np.random.default_rng(4), 0
    for _ in range(200):
        pair = [Seeds(0.5 + size / 2, between), Seeds(0.5 - size / 2, between)]
        one = difference(*accuracies(pair, seeds, examples, generator).values())
        assert one is not None
        found += differs(one, 6)
    assert 0.7 < found / 200 < 0.9


def test_more_seeds_do_not_make_up_for_few_examples() -> None:
    """What two methods answer differently with every seed stays: with ever more seeds the plan comes to its share."""
    size = detectable_difference(2000, 24, 2, 0.03)
    error = math.sqrt(SHARED_BY_EXAMPLES / 24)
    assert size == pytest.approx((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * error, rel=0.03)


def test_one_seed_can_show_nothing_and_more_seeds_show_more() -> None:
    assert detectable_difference(1, 10**6, 2, 0.0) is None
    sizes = [detectable_difference(seeds, 300, 6, 0.1) or math.inf for seeds in (3, 5, 10)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.slow
def test_intervals_and_claims_hold_their_level() -> None:
    """Three seeds with a standard deviation of 0.1, and a trade-off: a small part of `benchmarks.calibration`."""
    generator = np.random.default_rng(5)
    kind = (Seeds(0.4, 0.1), Seeds(0.65, 0.1))
    truth, runs = true_trade_off(*kind), 150
    covered, claimed = 0, 0
    for _ in range(runs):
        scores = [found["trade-off"] for found in results([kind] * 4, 3, 150, generator).values()]
        covered += sum(low <= truth <= high for low, high in map(interval, scores))
        best = max(scores, key=lambda score: score.mean)
        others = [difference(best, score) for score in scores if score is not best]
        claimed += any(found is not None and differs(found, 4) for found in others)
    assert covered / (4 * runs) >= 0.92
    assert claimed / runs <= 0.1
