"""Number by number: exactly, within its interval, or not."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest

from tests.leaderboard.entries import MACHINE, entry
from unlearnbench.identity.ids import values
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.reproduction import ReproducedRow, reproduce
from unlearnbench.leaderboard.reproduction_render import statements, to_markdown, to_terminal

SIZE = 100
THEN = [
    *(entry("base", 0.9, 0.9, seed, size=SIZE) for seed in range(3)),
    *(entry("spul", 0.1 + seed / 100, 0.8, seed, size=SIZE) for seed in range(3)),
    *(entry("ga", 0.5, 0.6 + seed / 10, seed, size=SIZE) for seed in range(3)),
]


def matched(now: list[Entry]) -> dict[str, Entry]:
    """New results by the keys of those of then, in their order."""
    return {then.key: new for then, new in zip(THEN, now, strict=True)}


def row(name: str, now: dict[str, Entry]) -> ReproducedRow:
    return next(one for one in reproduce(THEN, now).rows if one.row == name)


def test_same_results_come_back_exactly() -> None:
    found = reproduce(THEN, matched(THEN))
    assert found.is_exact
    assert found.holds
    assert found.software == found.machine == ()
    # Trade-off and two test accuracies have intervals; a row's other numbers are shown, too.
    spul = row("spul", matched(THEN))
    assert {number.metric for number in spul.numbers if number.interval} == {
        "trade_off", "test_retain_accuracy", "test_forget_accuracy"
    }  # fmt: skip
    assert {"train_forget_f1", "test_forget_generic"} <= {number.metric for number in spul.numbers}
    assert not any("seconds" in number.metric or "bytes" in number.metric for number in spul.numbers)


def test_mean_is_held_against_the_interval_of_the_leaderboard() -> None:
    block = build_blocks(THEN)[0]
    low, high = next(line for line in block.lines if line.row == "ga").intervals["test_retain_accuracy"]
    for shift, verdict in ((-0.05, "within its interval"), (-0.55, "outside its interval")):
        now = [*THEN[:6], *(entry("ga", 0.5, 0.6 + shift + seed / 10, seed, size=SIZE) for seed in range(3))]
        number = next(one for one in row("ga", matched(now)).numbers if one.metric == "test_retain_accuracy")
        assert number.interval == (low, high)
        assert number.means[1] == pytest.approx(fmean(0.6 + shift + seed / 10 for seed in range(3)))
        assert (low <= number.means[1] <= high) == (verdict == "within its interval")
        assert number.verdict == verdict
        found = reproduce(THEN, matched(now))
        assert not found.is_exact
        assert found.holds == (verdict == "within its interval")
        assert row("spul", matched(now)).is_exact


def test_equal_means_with_other_predictions_are_not_exactly() -> None:
    other = THEN[3].model_copy(update={"right": {**THEN[3].right, "test_retain": THEN[3].right["test_retain"][::-1]}})
    numbers = {one.metric: one for one in row("spul", matched([*THEN[:3], other, *THEN[4:]])).numbers}
    assert numbers["test_retain_accuracy"].verdict == "within its interval"
    assert numbers["test_forget_accuracy"].verdict == "exactly"


def test_numbers_without_an_interval_never_fail() -> None:
    other = THEN[3].model_copy(update={"metrics": {**THEN[3].metrics, "train_forget_f1": 0.9}})
    found = reproduce(THEN, matched([*THEN[:3], other, *THEN[4:]]))
    assert found.holds
    assert not found.is_exact
    assert row("spul", matched([*THEN[:3], other, *THEN[4:]])).counts["not exactly"] == 1


def test_missing_results_fail() -> None:
    now = matched(THEN)
    del now[THEN[4].key]
    assert row("spul", now).missing == (1,)
    assert not reproduce(THEN, now).holds
    assert not reproduce(THEN, {}).holds
    assert any("no result now (seed 1)" in text for text in statements(reproduce(THEN, now)))


def test_versions_and_machines_are_told_and_another_computation_fails() -> None:
    elsewhere = replace(MACHINE, device="cuda", threads=4)
    newer = values({"torch": "3.0", "transformers": "5.0"})
    now = [
        entry(
            one.row, one.metrics["test_forget_accuracy"], one.metrics["test_retain_accuracy"], one.seed, size=SIZE,
            machine=elsewhere, libraries=newer, versions={**one.versions, "torch": "3.0"},
            hardware={"cpu": "some", "threads": "4"},
        )
        for one in THEN
    ]  # fmt: skip
    found = reproduce(THEN, matched(now))
    assert found.is_exact, "numbers are the same all the same"
    assert found.software == (("torch", "1", "3.0"),)
    assert dict(name_and_now(found.machine)) == {"threads": "4", "device": "cuda"}
    assert all(not one.changed for one in found.rows)
    changed = [*THEN[:3], *(entry("spul", 0.1, 0.8, seed, size=SIZE, rows="other") for seed in range(3)), *THEN[6:]]
    assert any("splits.test_forget.rows" in name for name, *_ in row("spul", matched(changed)).changed)
    assert not reproduce(THEN, matched(changed)).holds


def name_and_now(changes: tuple[tuple[str, str, str], ...]) -> list[tuple[str, str]]:
    return [(name, now) for name, _, now in changes]


def test_other_tuned_values_are_told() -> None:
    other = THEN[3].model_copy(update={"hyperparameters": {"learning_rate": "0.2"}})
    told = statements(reproduce(THEN, matched([*THEN[:3], other, *THEN[4:]])))
    assert any("learning_rate 0.1, now 0.2" in text for text in told)


def test_table_collapses_what_is_exact_and_the_file_does_not() -> None:
    now = [*THEN[:6], *(entry("ga", 0.5, 0.05, seed, size=SIZE) for seed in range(3))]
    found = reproduce(THEN, matched(now))
    table = to_terminal(found)
    marked = [cell for cell in table.columns[-1].cells if "outside" in str(cell)]
    assert len(marked) == sum(one.counts["outside its interval"] for one in found.rows) >= 2
    markdown = to_markdown(found)
    assert markdown.count("| m / sst2 / spul |") == len(row("spul", matched(now)).numbers)
