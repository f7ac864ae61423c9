"""Numbers of a study: means, intervals and every seed's value."""

from __future__ import annotations

import pytest

from tests.leaderboard.entries import entry
from unlearnbench.config import RunConfig
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.studies.outcome import collect, to_frame, to_markdown
from unlearnbench.studies.points import STUDIES, Point

STUDY = STUDIES["forget-size"]


def test_numbers_are_the_leaderboards() -> None:
    entries = [entry("ga", 0.1 * (seed + 1), 0.8, seed=seed, size=100) for seed in range(3)]
    found = collect([(Point({"forget_fraction": 0.5}, RunConfig()), {one.key for one in entries})], entries)
    (line,) = build_blocks(entries)[0].lines
    low, high = line.intervals["test_forget_accuracy"]
    assert found[0].intervals["test_forget_accuracy"] == (low, high)
    record = to_frame(STUDY, found).iloc[0]
    assert (record.test_forget_accuracy_low, record.test_forget_accuracy_high) == pytest.approx((low, high))
    assert record.test_forget_accuracy_by_seed == "0.1 0.2 0.3"
    markdown = to_markdown(STUDY, found)
    assert f"| 20.00 [{100 * low:.2f}, {100 * high:.2f}] | 10.00, 20.00, 30.00 |" in markdown
    assert "Mean ± standard deviation over 3 seeds." in markdown


@pytest.mark.parametrize("target", ["zero", "oracle"])
def test_trade_offs_are_the_leaderboards_whatever_the_target(target: str) -> None:
    """Reference models, too, are scored by the target of the methods beside them."""
    references = [entry("base", 0.98, 0.9, size=100), entry("retrain", 0.6, 0.9, size=100)]
    entries = [*references, entry("ga", 0.1, 0.8, size=100, target=target)]
    found = collect([(Point({"forget_fraction": 0.5}, RunConfig()), {one.key for one in entries})], entries)
    (block,) = build_blocks(entries)
    assert {one.row: one.mean["trade_off"] for one in found} == {
        line.row: pytest.approx(line.mean["trade_off"]) for line in block.lines
    }


def test_one_seed_says_that_it_knows_examples_only() -> None:
    entries = [entry("ga", 0.1, 0.8)]
    found = collect([(Point({"forget_fraction": 0.5}, RunConfig()), {entries[0].key})], entries)
    assert "One seed: examples only, nothing is claimed between rows." in to_markdown(STUDY, found)
