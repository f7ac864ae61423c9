"""Intervals and tests agree with SciPy's, and with what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.leaderboard.entries import entry
from unlearnbench.leaderboard.statistics import (
    RESAMPLES,
    Sample,
    accuracy_of,
    base_entries,
    holm,
    interval,
    mean_trade_off,
    paired_p_value,
    resample,
    sample_of,
)
from unlearnbench.objective import trade_off


def sample(right: object, seeds: int = 1, **others: object) -> Sample:
    arrays = {name: np.atleast_2d(np.array(values, float)) for name, values in {"test_retain": right, **others}.items()}
    return Sample(tuple(range(seeds)), arrays)


def test_interval_over_examples_is_scipys_percentile_bootstrap() -> None:
    generator = np.random.default_rng(5)
    right = (generator.random(200) < 0.7).astype(float)
    ours = interval(resample({"a": sample(right)})["a"]["test_retain_accuracy"])
    theirs = stats.bootstrap((right,), np.mean, method="percentile", n_resamples=5000, rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = sample([[1, 0] * 50] * 3, seeds=3)
    apart = sample([[1] * 100, [1, 0] * 50, [0] * 100], seeds=3)
    low, high = interval(resample({"a": alike})["a"]["test_retain_accuracy"])
    wide = interval(resample({"a": apart})["a"]["test_retain_accuracy"])
    assert high - low < 0.25
    assert wide[0] < 0.1
    assert wide[1] > 0.9


def test_rows_are_resampled_together() -> None:
    right = (np.random.default_rng(0).random(50) < 0.5).astype(float)
    drawn = resample({"a": sample(right), "b": sample(right)})
    assert np.array_equal(drawn["a"]["test_retain_accuracy"], drawn["b"]["test_retain_accuracy"])


@pytest.mark.slow
def test_resampling_in_chunks_draws_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = resample({"a": sample([1, 0] * 5000)})["a"]["test_retain_accuracy"]
    assert drawn.shape == (RESAMPLES,)
    assert drawn.mean() == pytest.approx(0.5, abs=0.001)
    assert drawn.std() == pytest.approx(0.005, rel=0.1)


def test_p_value_of_one_seed_is_mcnemars() -> None:
    generator = np.random.default_rng(3)
    first = (generator.random(60) < 0.8).astype(float)
    second = np.where(generator.random(60) < 0.12, 1 - first, first)
    wins, losses = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    exact = stats.binomtest(wins, wins + losses).pvalue
    assert 0.001 < exact < 0.5
    assert paired_p_value(sample(first), sample(second), accuracy_of("test_retain")) == pytest.approx(exact, abs=0.03)


def test_p_value_over_seeds_is_scipys_permutation_test() -> None:
    generator = np.random.default_rng(4)
    first, second = ((generator.random((3, 40)) < chance).astype(float) for chance in (0.7, 0.6))
    theirs = stats.permutation_test(
        (first.mean(0), second.mean(0)), lambda a, b: np.mean(a) - np.mean(b), permutation_type="samples",
        n_resamples=5000, rng=2,
    ).pvalue  # fmt: skip
    ours = paired_p_value(sample(first, 3), sample(second, 3), accuracy_of("test_retain"))
    assert ours == pytest.approx(theirs, abs=0.03)


def test_equal_predictions_are_never_significant() -> None:
    assert paired_p_value(sample([1, 0, 1]), sample([1, 0, 1]), accuracy_of("test_retain")) == 1


def test_trade_off_is_scored_per_seed_and_tested() -> None:
    kept, lost = [[1] * 20, [1] * 20], [[0] * 20, [0] * 20]
    common = {"test_forget": lost, "base_test_retain": kept}
    good, bad = sample(kept, 2, **common), sample(lost, 2, **common)
    means = {name: values.mean(1) for name, values in good.right.items()}
    assert float(mean_trade_off(means)) == trade_off(0.0, 1.0, 1.0) == 1
    assert paired_p_value(good, bad, mean_trade_off) < 0.01
    assert set(resample({"good": good})["good"]) == {"test_retain_accuracy", "test_forget_accuracy", "trade_off"}


def test_holm_multiplies_the_smallest_by_their_number_and_keeps_order() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}


def test_sample_needs_single_predictions() -> None:
    bases = base_entries([entry("base", 0.9, 0.9)])
    found = sample_of([entry("ga", 0.5, 0.8)], bases)
    assert found is not None
    assert found.right["test_retain"].mean() == pytest.approx(0.8)
    assert found.right["base_test_retain"].mean() == pytest.approx(0.9)
    assert sample_of([entry("ga", 0.5, 0.8, right={})], bases) is None
