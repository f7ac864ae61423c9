"""leak@k from probabilities, against the binomial distribution and against samples."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.leaderboard.entries import SIZE, entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.check import wrong
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import from_json, to_csv, to_json
from unlearnbench.leaderboard.leaks import SAMPLES, kept, leak
from unlearnbench.leaderboard.page.page import to_html
from unlearnbench.leaderboard.render import to_markdown


def known(row: str, chances: list[float], seed: int = 0, **changes: Any) -> Entry:
    return entry(row, 0.5, 0.9, seed, log_probabilities=kept([math.log(p) for p in chances]), **changes)


CHANCES = [0.5, 0.1, 0.01, 0.9, 0.001, 0.3, 0.2, 0.999, 0.05, 0.7]


@pytest.mark.parametrize("samples", SAMPLES)
def test_leak_is_the_binomials_chance_of_at_least_one(samples: int) -> None:
    found = leak(np.log(CHANCES), samples)
    assert found == pytest.approx([stats.binom.sf(0, samples, p) for p in CHANCES], rel=1e-9)


def test_certain_and_very_unlikely_answers() -> None:
    assert leak(np.array([0.0, 1e-9]), 1) == pytest.approx([1.0, 1.0])
    assert leak(np.array([-40.0]), 64) == pytest.approx([64 * math.exp(-40)], rel=1e-6), "not lost in rounding"


def test_leak_is_what_samples_of_answers_of_several_tokens_show() -> None:
    """Tokens are drawn one by one, each behind the one before; the right answer's two tokens are 0, then 1."""
    generator = np.random.default_rng(0)
    first, second = 0.3, 0.6
    draws = generator.uniform(size=(20_000, 8, 2))
    right = (draws[..., 0] < first) & (draws[..., 1] < second)
    found = leak(np.array([math.log(first) + math.log(second)]), 8)[0]
    assert right.any(1).mean() == pytest.approx(found, abs=0.01)


def test_table_page_and_json_show_means_with_intervals() -> None:
    entries = [known("base", CHANCES), known("ga", CHANCES[::-1]), known("rl", [p / 2 for p in CHANCES])]
    (block,) = build_blocks(entries)
    markdown = to_markdown([block])
    assert "| test forget | leak@1 ↓ | leak@8 ↓ | leak@64 ↓ |" in markdown
    lines = {line.row: line for line in block.lines}
    chances = np.array([1 - (1 - p) ** 8 for p in CHANCES])
    assert lines["ga"].mean["test_forget_leak_at_8"] == pytest.approx(chances.mean(), abs=2e-3)
    low, high = lines["ga"].intervals["test_forget_leak_at_8"]
    # Wilson's with an effective number of examples: near Student's in the middle of the range.
    expected = stats.ttest_1samp(chances, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, min(1.0, expected.high)), abs=0.1)
    assert f"{100 * chances.mean():.1f}" in markdown
    assert "leak@64" in to_html([block], {}, False, [])
    tables = json.loads(to_json(entries, [block]))["tables"]
    claims = {claim["metric"]: claim for claim in tables[0]["metrics"]}
    assert {row["row"] for row in claims["test_forget_leak_at_64"]["rows"]} == {"base", "ga", "rl"}
    assert not claims["test_forget_leak_at_64"]["pairs"]
    assert from_json(to_json(entries, [block]), "made") == entries
    assert "log_prob" not in to_csv(entries)


def test_nothing_is_shown_without_probabilities() -> None:
    (block,) = build_blocks([entry("base", 0.9, 0.9), entry("ga", 0.1, 0.9)])
    assert "leak@" not in to_markdown([block])


def test_a_row_that_lacks_a_seeds_probabilities_is_left_out() -> None:
    entries = [known("ga", CHANCES), entry("ga", 0.5, 0.9, 1), known("rl", CHANCES), known("rl", CHANCES, 1)]
    (block,) = build_blocks([entry("base", 0.9, 0.9, seed) for seed in (0, 1)] + entries)
    table = to_markdown([block]).partition("| test forget |")[2]
    assert "| RL |" in table
    assert "| GA |" not in table.partition("leak@k:")[0]


def test_probabilities_that_do_not_fit_are_told() -> None:
    assert any("log_probabilities.test_forget has 3 numbers" in text for text in wrong([known("ga", CHANCES[:3])]))
    assert not [text for text in wrong([known("ga", CHANCES)]) if "log_prob" in text]
    assert len(CHANCES) == SIZE


def test_a_model_that_is_not_finite_keeps_none() -> None:
    assert kept([-1.0, math.nan]) == {}
    assert kept([-1.23456, 1e-12]) == {"test_forget": (-1.235, 0.0)}
