"""Two leaderboards side by side."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.leaderboard.entries import ENTRIES, entry, flags
from unlearnbench.leaderboard.compare import ComparedLine, compare_entries, why_not_comparable
from unlearnbench.leaderboard.compare_render import to_csv, to_html, to_json, to_markdown
from unlearnbench.leaderboard.entry import DataFacts, Entry


def big(row: str, forget: float, retain: float, **changes: Any) -> Entry:
    """An entry with 200 test examples of each kind."""
    made = entry(row, forget, retain, **changes)
    sizes = {"train_forget": 10, "train_retain": 10, "test_forget": 200, "test_retain": 200}
    right = {"test_forget": flags(forget, 200), "test_retain": flags(retain, 200)}
    changes = {"data": made.data.model_copy(update={"sizes": sizes}), **({"right": right} if made.right else {})}
    return made.model_copy(update=changes)


BASE = big("base", 0.9, 0.9)
FIRST = [BASE, big("spul", 0.1, 0.8), big("ga", 0.5, 0.5)]


def line(first: list[Entry], second: list[Entry], row: str = "spul") -> ComparedLine:
    return next(line for line in compare_entries(first, second).lines if line.row == row)


def test_same_results_differ_by_nothing() -> None:
    comparison = compare_entries(FIRST, FIRST)
    assert comparison.failures == []
    for one in comparison.lines:
        assert one.reasons == ()
        assert all(d.difference == 0 and d.interval == (0, 0) for d in one.differences)


def test_a_clear_loss_is_worse_and_a_small_one_is_not() -> None:
    clear = compare_entries(FIRST, [BASE, big("spul", 0.6, 0.8), big("ga", 0.5, 0.5)])
    assert clear.failures == ["m / sst2 / spul: test_forget_accuracy, trade_off"]
    found = {d.metric: d for d in line(FIRST, [BASE, big("spul", 0.6, 0.8)]).differences}
    low, high = found["test_forget_accuracy"].interval or (0, 0)
    assert low < 0.5 < high
    # The losses lie on the same examples, so that the paired interval is narrow.
    assert high - low < 0.2
    swapped = big("spul", 0.1, 0.8)
    swapped = swapped.model_copy(update={"right": {**swapped.right, "test_forget": flags(0.1, 200)[::-1]}})
    assert compare_entries(FIRST, [BASE, swapped]).failures == []


def test_gains_are_not_worse() -> None:
    assert compare_entries(FIRST, [BASE, big("spul", 0.0, 0.9), big("ga", 0.1, 0.9)]).failures == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": DataFacts(source="", fingerprint="other", sizes={})}, "data fingerprint differs (f and other)"),
        ({"trial_budget": 9}, "trial budget differs (2 and 9)"),
        ({"preset": "small"}, "preset differs (quick and small)"),
        ({"model_revision": "s"}, "model revision differs (r and s)"),
        ({"config": {**(ENTRIES[0].config or {}), "base": {}}}, "base model's settings differ"),
        ({"block": "c"}, "settings of the base model or of the evaluation differ"),
    ],
)
def test_what_is_not_comparable_says_why(change: dict[str, Any], reason: str) -> None:
    assert why_not_comparable(ENTRIES[0], entry("spul", 0.1, 0.8, **change)) == [reason]


def test_rows_that_are_not_comparable_have_no_interval_and_cannot_be_worse() -> None:
    other = [entry(row, 0.9, 0.1, block="c", trial_budget=9) for row in ("base", "spul")]
    comparison = compare_entries(ENTRIES, other)
    assert all(one.reasons and one.worse == () for one in comparison.lines)
    assert all(d.interval is None for one in comparison.lines for d in one.differences)
    assert comparison.failures == ["no row of the two is comparable"]


def test_without_single_predictions_seeds_give_students_interval() -> None:
    first = [entry("ga", value, 0.5, seed=seed, right={}) for seed, value in enumerate((0.5, 0.6, 0.7))]
    second = [entry("ga", value, 0.5, seed=seed, right={}) for seed, value in enumerate((0.6, 0.8, 0.7))]
    found = {d.metric: d for d in line(first, second, "ga").differences}["test_forget_accuracy"]
    assert found.difference == pytest.approx(0.1)
    # Mean 0.1, standard deviation 0.1, three seeds, t(0.975, 2) = 4.303.
    assert found.interval == pytest.approx((0.1 - 0.2484, 0.1 + 0.2484), abs=1e-3)
    single = {d.metric: d for d in line(first[:1], second[:1], "ga").differences}["test_forget_accuracy"]
    assert single.interval is None
    assert single.worse


def test_rows_of_one_side_are_listed() -> None:
    comparison = compare_entries(FIRST, [BASE, big("rl", 0.1, 0.8)])
    assert comparison.only_first == ("m / sst2 / spul", "m / sst2 / ga")
    assert comparison.only_second == ("m / sst2 / rl",)


def test_every_form_tells_the_same() -> None:
    hostile = big("ga", 0.9, 0.5, title="<b>|x")
    comparison = compare_entries([BASE, big("ga", 0.5, 0.5)], [BASE, hostile])
    markdown = to_markdown(comparison)
    assert "50.0 → 90.0 (+40.0 [" in markdown
    assert "✗" in markdown
    records = json.loads(to_json(comparison))["differences"]
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert len(records) == len(rows) == 6
    worse = {(r["row"], r["metric"]) for r in records if r["worse"]}
    assert worse == {("ga", "test_forget_accuracy"), ("ga", "trade_off")}
    html = to_html(compare_entries([BASE, hostile], [BASE, hostile]))
    assert "&lt;b&gt;|x" in html
    assert "<b>" not in html
