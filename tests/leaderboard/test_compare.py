"""Two leaderboards side by side."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from scipy import stats

from tests.leaderboard.entries import ENTRIES, LIBRARIES, MACHINE, entry
from unlearnbench.identity.ids import values
from unlearnbench.leaderboard.compare import ComparedLine, compare_entries, why_not_comparable
from unlearnbench.leaderboard.compare_render import to_csv, to_html, to_json, to_markdown
from unlearnbench.leaderboard.entry import Entry


def run(*rows: tuple[str, float, float], seeds: int = 3, **changes: Any) -> list[Entry]:
    """Rows with 200 test examples of each kind and a little scatter between seeds."""
    return [
        entry(row, forget + 0.01 * seed, retain - 0.01 * seed, seed=seed, size=200, **changes)
        for row, forget, retain in (("base", 0.9, 0.9), *rows)
        for seed in range(seeds)
    ]


SPUL, GA = ("spul", 0.1, 0.8), ("ga", 0.5, 0.5)
FIRST = run(SPUL, GA)


def line(first: list[Entry], second: list[Entry], row: str = "spul") -> ComparedLine:
    return next(line for line in compare_entries(first, second).lines if line.row == row)


def test_each_of_several_tables_of_one_task_is_judged() -> None:
    """The same method from two base models: what got worse in one table is not hidden by the other."""
    other = run(SPUL, block="other")
    worse = run(("spul", 0.1, 0.3), block="other")
    for first, second in ((FIRST + other, FIRST + worse), (other + FIRST, worse + FIRST)):
        comparison = compare_entries(first, second)
        assert [len(line.worse) > 0 for line in comparison.lines if line.row == "spul"].count(True) == 1
        assert any("spul is worse in test_retain_accuracy" in failure for failure in comparison.failures)


def test_same_results_are_not_worse() -> None:
    comparison = compare_entries(FIRST, FIRST)
    assert comparison.failures == []
    for one in comparison.lines:
        assert one.reasons == ()
        assert all(d.difference == 0 for d in one.differences)
        assert all(low < 0 < high for d in one.differences if d.interval for low, high in [d.interval])


def test_a_clear_loss_is_worse_and_a_small_one_is_not() -> None:
    clear = compare_entries(FIRST, run(("spul", 0.6, 0.8), GA))
    assert clear.failures == ["m / sst2 / spul is worse in test_forget_accuracy, trade_off"]
    found = {d.metric: d for d in line(FIRST, run(("spul", 0.6, 0.8))).differences}["test_forget_accuracy"]
    low, high = found.interval or (0, 0)
    assert low < 0.5 < high
    assert high - low < 0.3
    assert compare_entries(FIRST, run(("spul", 0.12, 0.79), GA)).failures == []


def test_interval_is_welchs_over_seeds_where_examples_decide_little() -> None:
    """With many examples, all right or wrong alike, Student's interval of the seeds remains."""

    def seeds(values: tuple[float, ...]) -> list[Entry]:
        made = [entry("ga", value, 0.5, seed=seed, right={}) for seed, value in enumerate(values)]
        many = {"test_forget_examples": 1e9}
        return [one.model_copy(update={"metrics": {**one.metrics, **many}}) for one in made]

    first, second = seeds((0.5, 0.6, 0.7)), seeds((0.6, 0.8, 0.7))
    found = {d.metric: d for d in line(first, second, "ga").differences}["test_forget_accuracy"]
    # Mean 0.1; twice a variance of 0.01, raised to its median-unbiased estimate, over three seeds; t(0.975, 4).
    reach = stats.t.ppf(0.975, 4) * (2 * 0.01 * 2 / stats.chi2.median(2) / 3) ** 0.5
    assert found.interval == pytest.approx((0.1 - reach, 0.1 + reach), abs=1e-4)


def test_seeds_need_not_be_the_same() -> None:
    """Better by ten points at every seed, of which only two are shared: never worse."""
    first = [entry("ga", 0.5, 0.3 + 0.2 * seed, seed=seed, size=200) for seed in (0, 1, 2)]
    second = [entry("ga", 0.5, 0.4 + 0.2 * seed, seed=seed, size=200) for seed in (1, 2, 3)]
    assert all(not d.worse for d in line(first, second, "ga").differences)
    assert all(not d.worse for d in line([*first[:2]], [second[0], second[2]], "ga").differences)


def test_rows_of_one_seed_claim_nothing_but_do_not_pass_if_lower() -> None:
    first, same = run(SPUL, GA, seeds=1), compare_entries(run(SPUL, GA, seeds=1), run(SPUL, GA, seeds=1))
    assert same.failures == []
    assert all(d.interval is None and not d.worse for one in same.lines for d in one.differences)
    lower = compare_entries(first, run(("spul", 0.6, 0.8), GA, seeds=1))
    assert lower.failures == [
        "m / sst2 / spul is lower in test_forget_accuracy, trade_off, and 1 seeds can't tell whether by chance: "
        "run both with 3 or more"
    ]


def test_gains_are_not_worse() -> None:
    assert compare_entries(FIRST, run(("spul", 0.0, 0.9), ("ga", 0.1, 0.9))).failures == []


def test_many_rows_are_corrected_for_their_number() -> None:
    """A loss that is surely worse by itself is within the noise of twelve rows with three metrics each."""
    scattered = (0.3, 0.5, 0.4)

    def rows(count: int, loss: float) -> list[Entry]:
        names = [f"m{number}" for number in range(count)]
        return [
            entry(row, value + (loss if row == "m0" else 0), 0.8, seed=seed, size=200)
            for row in names
            for seed, value in enumerate(scattered)
        ]

    assert compare_entries(rows(1, 0.0), rows(1, 0.4)).failures
    assert compare_entries(rows(12, 0.0), rows(12, 0.4)).failures == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rows": "other"}, "splits.train_forget.rows differs (f train_forget and other train_forget)"),
        ({"trial_budget": 9}, "tuning.trials differs (2 and 9)"),
        ({"revision": "s"}, "start.base.model.revision differs (r and s)"),
        ({"block": "c"}, "start.base.rows differs (b and c)"),
        ({"task": "yelp"}, "task differs (sst2 and yelp)"),
    ],
)
def test_what_is_not_comparable_names_the_field(change: dict[str, Any], reason: str) -> None:
    assert why_not_comparable(ENTRIES[0], entry("spul", 0.1, 0.8, **change))[0] == reason


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"fixed": {"alpha": 0.5}}, "method.fixed.alpha: none and 0.5"),
        ({"libraries": values({**dict(LIBRARIES), "torch": "9"})}, "libraries.torch: 2.9 and 9"),
        ({"machine": replace(MACHINE, threads=8)}, "machine.threads: 1 and 8"),
    ],
)
def test_what_one_compares_and_chance_are_noted_and_no_reason(change: dict[str, Any], note: str) -> None:
    other = run(("spul", 0.6, 0.8), **change)
    found = line(FIRST, other)
    assert found.reasons == ()
    assert found.worse
    assert note in found.notes
    assert f"yes; {note}" in to_markdown(compare_entries(run(SPUL), other)).replace("start.base.", "")


def test_presets_are_names() -> None:
    assert line(FIRST, run(SPUL, preset="small")).notes == ()


def test_every_common_table_is_compared_and_the_others_are_named() -> None:
    """Three base models on one side, of which two are common."""
    other, third = ([entry(row, 0.5, 0.5, block=block) for row in ("base", "rl")] for block in ("other", "third"))
    comparison = compare_entries([*FIRST, *other, *third], [*FIRST, *third])
    assert sorted(one.row for one in comparison.lines) == ["base", "base", "ga", "rl", "spul"]
    assert all(one.reasons == () for one in comparison.lines)
    name = "m / sst2 (start.base.rows other instead of third)"
    assert comparison.only_first == (f"{name} / base", f"{name} / rl")
    assert comparison.only_second == ()
    assert f"{name} / rl is missing in B" in comparison.failures


def test_an_old_setting_is_not_what_is_compared() -> None:
    """The newest settings of each side count, whatever a clock said."""
    early = datetime(2020, 1, 1, tzinfo=UTC)
    second = [*run(("spul", 0.9, 0.1), fixed={"alpha": 9.0}), *run(SPUL, recorded=early)]
    (found,) = [d.difference for d in line(FIRST, second).differences if d.metric == "test_forget_accuracy"]
    assert found == 0


def test_part_of_a_grid_is_compared_on_what_both_have() -> None:
    beside = run(SPUL, transfer={"arc": "x"})
    found = line(FIRST, beside)
    assert found.reasons == ()
    assert found.notes == ("arc only in B",)
    assert {d.metric for d in found.differences} == {"test_retain_accuracy", "test_forget_accuracy", "trade_off"}
    elsewhere = line(beside, run(SPUL, transfer={"arc": "y"}))
    assert elsewhere.notes == ("other rows of arc",)
    assert "transfer_arc_accuracy" not in {d.metric for d in elsewhere.differences}
    assert "transfer_arc_accuracy" in {d.metric for d in line(beside, beside).differences}


def test_methods_that_are_not_comparable_fail_without_being_worse() -> None:
    other = run(("spul", 0.9, 0.1), GA, block="c", trial_budget=9)
    comparison = compare_entries(FIRST, other)
    assert all(one.reasons and one.worse == () for one in comparison.lines)
    assert all(d.interval is None for one in comparison.lines for d in one.differences)
    assert comparison.failures == ["no row of the two is comparable, so that no method was judged"]
    other = run(("spul", 0.9, 0.1), trial_budget=9)
    only_ga = [one for one in FIRST if one.row != "spul"] + [one for one in other if one.row == "spul"]
    assert compare_entries(FIRST, only_ga).failures == [
        "m / sst2 / spul is not comparable: tuning.trials differs (2 and 9)"
    ]


def test_comparable_anchors_alone_are_not_enough() -> None:
    assert compare_entries(FIRST, run(SPUL, GA, trial_budget=9)).failures == [
        "nothing but anchors is comparable, so that no method was judged"
    ]


def test_a_method_that_vanished_fails_and_a_new_one_does_not() -> None:
    comparison = compare_entries(FIRST, run(GA, ("rl", 0.1, 0.8)))
    assert comparison.only_first == ("m / sst2 / spul",)
    assert comparison.only_second == ("m / sst2 / rl",)
    assert comparison.failures == ["m / sst2 / spul is missing in B"]


def test_every_form_tells_the_same() -> None:
    hostile = run(("ga", 0.9, 0.5), title="<b>|x")
    comparison = compare_entries(run(GA), hostile)
    markdown = to_markdown(comparison)
    assert "51.0 → 91.0 (+40.0 [" in markdown
    assert "✗" in markdown
    assert "| GA | test forget | 50.0, 51.0, 52.0 | 90.0, 91.0, 92.0 |" in markdown
    records = json.loads(to_json(comparison))["differences"]
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert len(records) == len(rows) == 6
    worse = {(r["row"], r["metric"]) for r in records if r["worse"]}
    assert worse == {("ga", "test_forget_accuracy"), ("ga", "trade_off")}
    html = to_html(compare_entries(hostile, hostile))
    assert "&lt;b&gt;|x" in html
    assert "<b>" not in html
    assert "90.0, 91.0, 92.0" in html
