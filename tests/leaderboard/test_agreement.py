"""The order of the methods against the paper's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unlearnbench.contract.objective import trade_off
from unlearnbench.leaderboard.agreement import agreements, sentences, somers
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.published import paper_lines
from unlearnbench.leaderboard.statistics import Score

METHODS = ("ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul")


def block(scatter: float, forget: dict[str, float], competes: bool = True) -> Block:
    """Test forget accuracies, each with three seeds that scatter around it."""
    lines = [
        Line(
            row,
            row.upper(),
            (),
            {"test_forget_accuracy": value},
            scores={
                "test_forget_accuracy": Score(np.array([value - scatter, value, value + scatter]), examples=10**9),
            },
            competes=competes,
        )
        for row, value in forget.items()
    ]
    return Block("sst2", "m", (), (), tuple(lines), {})


def paper(metric: str) -> dict[str, float]:
    return {line.row: line.mean[metric] for line in paper_lines("sst2")}


def test_correlations_are_scipys_with_and_without_ties() -> None:
    generator = np.random.default_rng(1)
    for size in (4, 6, 9):
        values = generator.integers(0, 4, (20, size)).astype(float)
        reference = generator.integers(0, 4, size).astype(float)
        theirs = [stats.somersd(reference, row).statistic for row in values]
        assert somers(values, reference) == pytest.approx(np.nan_to_num(theirs))
        untied = generator.permuted(np.arange(float(size)))
        assert somers(untied[None], np.arange(float(size))) == pytest.approx(
            stats.kendalltau(untied, np.arange(float(size))).statistic
        )


def test_the_papers_own_order_agrees_and_the_reverse_does_not() -> None:
    published = paper("test_forget_accuracy")
    same = {row: published[row] for row in METHODS}
    reverse = {row: 1 - published[row] for row in METHODS}
    for forget, expected in ((same, 1.0), (reverse, -1.0)):
        (found,) = agreements(block(1e-9, forget), paper_lines("sst2"))
        assert found.metric == "test_forget_accuracy"
        assert found.correlation == pytest.approx(expected)
        assert found.interval == pytest.approx((expected, expected))
    assert found.places["npo-rt"] == (6, 1), "the paper's best is the worst here"


def test_seeds_that_scatter_widely_leave_every_order_open() -> None:
    published = paper("test_forget_accuracy")
    (found,) = agreements(block(5.0, {row: published[row] for row in METHODS}), paper_lines("sst2"))
    assert found.correlation == pytest.approx(1.0)
    assert found.interval[0] < -0.5
    assert found.interval[1] > 0.5


def test_the_interval_is_that_of_redrawn_means() -> None:
    """Two of four methods are near each other: the order of one pair is open, so tau is 1 or 4 / 6."""
    published = paper("test_forget_accuracy")
    rows = sorted(METHODS, key=lambda row: published[row])[:4]
    forget = dict(zip(rows, (0.1, 0.4, 0.4001, 0.9), strict=True))
    (found,) = agreements(block(0.01, forget), paper_lines("sst2"))
    assert found.correlation == pytest.approx(1.0)
    assert found.interval == pytest.approx((4 / 6, 1.0))


def test_the_papers_trade_off_is_that_of_its_accuracies() -> None:
    forget, retain = paper("test_forget_accuracy"), paper("test_retain_accuracy")
    expected = {row: trade_off(forget[row], retain[row], retain["base"]) for row in METHODS}
    lines = [
        Line(row, row, (), {}, scores={"trade_off": Score(np.array([value] * 3), examples=10**9)})
        for row, value in expected.items()
    ]
    (found,) = agreements(Block("sst2", "m", (), (), tuple(lines), {}), paper_lines("sst2"))
    assert found.correlation == pytest.approx(1.0)
    assert all(here == there for here, there in found.places.values())


def test_few_methods_and_rows_that_do_not_compete_are_not_correlated() -> None:
    forget = dict.fromkeys(METHODS, 0.5)
    assert agreements(block(0.1, {row: forget[row] for row in METHODS[:3]}), paper_lines("sst2")) == []
    assert agreements(block(0.1, forget, competes=False), paper_lines("sst2")) == []
    assert agreements(block(0.1, forget), []) == []


def test_the_sentence_names_metric_correlation_interval_and_places() -> None:
    published = paper("test_forget_accuracy")
    (sentence,) = sentences(block(1e-9, {row: published[row] for row in METHODS}), paper_lines("sst2"))
    assert "test forget accuracy" in sentence
    assert "tau 1.00, 95 % interval 1.00 to 1.00" in sentence
    assert "NPO-RT 1 (1)" in sentence
