"""Which results stand in one table and make one line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.leaderboard.entries import ENTRIES, LIBRARIES, entry
from unlearnbench.identity.ids import values
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.grouping import group_entries
from unlearnbench.leaderboard.render import to_markdown

VANILLA = entry("vanilla", 0.0, 0.3)
BASE = entry("base", 0.9, 0.9)


def test_retrained_model_stands_beside_the_base_and_competes_with_nobody() -> None:
    retrain = [entry("retrain", 0.8, 0.9, seed) for seed in (0, 1, 2)]
    methods = [entry(row, forget, 0.9, seed) for row, forget in (("ga", 0.2), ("rl", 0.5)) for seed in (0, 1, 2)]
    (block,) = build_blocks([*methods, *retrain, *(entry("base", 1.0, 0.9, seed) for seed in (0, 1, 2)), VANILLA])
    assert [line.row for line in block.lines] == ["vanilla", "base", "retrain", "ga", "rl"]
    line = block.lines[2]
    assert not line.competes
    assert line.mean["trade_off"] == pytest.approx(2 * 0.2 * 1 / 1.2)
    assert not line.best | line.ties
    assert {pair.first for pair in block.pairs["test_forget_accuracy"]} == {"ga"}


def test_results_of_two_base_models_stand_in_two_tables_and_the_vanilla_model_in_both() -> None:
    entries = [VANILLA, BASE, entry("ga", 0.5, 0.9), entry("ga-gd", 0.4, 0.9)]
    other = [entry("base", 0.5, 0.5, block="other"), entry("ga", 0.2, 0.4, block="other")]
    newer, older = group_entries([*entries, *other])
    assert set(older.rows) == {"vanilla", "base", "ga", "ga-gd"}
    assert set(newer.rows) == {"vanilla", "base", "ga"}
    assert newer.rows["base"].entries == (other[0],)
    # Each trade-off is that to the table's own base model.
    for block, kept in zip(build_blocks([*entries, *other]), (0.4 / 0.5, 1.0), strict=True):
        ga = next(line for line in block.lines if line.row == "ga")
        forgotten = 1 - ga.mean["test_forget_accuracy"]
        assert ga.mean["trade_off"] == pytest.approx(2 * kept * forgotten / (kept + forgotten))
    assert older.notes == ("Unlike the first table of this task and model: start.base.rows b instead of other.",)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_anchors_serve_whenever_they_were_run(order: tuple[int, ...]) -> None:
    entries = [VANILLA, BASE, entry("ga", 0.5, 0.9), entry("rl", 0.3, 0.8)]
    (group,) = group_entries([entries[place] for place in order])
    assert set(group.rows) == {"vanilla", "base", "ga", "rl"}


def test_vanilla_of_another_model_or_other_rows_does_not_serve() -> None:
    others = [entry("vanilla", 0.0, 0.3, revision="s"), entry("vanilla", 0.0, 0.3, rows="other")]
    groups = group_entries([BASE, *others])
    assert sorted(sorted(group.rows) for group in groups) == [["base"], ["vanilla"], ["vanilla"]]


def test_vanilla_alone_is_a_table() -> None:
    (group,) = group_entries([VANILLA])
    assert list(group.rows) == ["vanilla"]


def test_versions_of_libraries_are_kept_apart() -> None:
    later = values({**dict(LIBRARIES), "torch": "3.0"})
    newer, older = group_entries([*ENTRIES, entry("base", 0.9, 0.9, libraries=later)])
    assert set(newer.rows) == {"vanilla", "base"}
    assert older.distinction == "start.base.libraries.torch 2.9 instead of 3.0"


def test_seeds_of_a_line_have_the_same_settings() -> None:
    """Three seeds with one value, then one seed with another: the newest is shown, the others are named."""
    before = [entry("spul", 0.1, 0.8, seed=seed, fixed={"alpha": 1.0}) for seed in (0, 1, 2)]
    after = entry("spul", 0.5, 0.5, seed=0, fixed={"alpha": 0.5})
    block = build_blocks([*before, after])[0]
    (line,) = block.lines
    assert line.entries == (after,)
    assert block.notes == (
        "SPUL was also run with other settings (method.fixed.alpha 1.0 instead of 0.5); the newest is shown, "
        "`--all-settings` shows all.",
    )
    assert block.notes[0] in to_markdown([block])
    (all_of_them,) = build_blocks([*before, after], all_settings=True)
    lines = {line.title: line.entries for line in all_of_them.lines}
    assert lines == {"SPUL": (after,), "SPUL (method.fixed.alpha 1.0 instead of 0.5)": tuple(before)}
    assert all_of_them.notes == ()


def test_settings_that_were_run_again_are_the_newest() -> None:
    """What `--force` is for; the position of a setting's first run must not matter."""
    first, other = entry("spul", 0.1, 0.8, fixed={"alpha": 1.0}), entry("spul", 0.5, 0.5, fixed={"alpha": 0.5})
    again = entry("spul", 0.2, 0.7, fixed={"alpha": 1.0})
    (block,) = build_blocks([first, other, again])
    assert block.lines[0].entries == (again,)


def test_other_budgets_are_marked_and_take_no_part() -> None:
    """GA without tuning would be the best by far."""
    rows = [
        entry(row, forget + 0.01 * seed, 0.8, seed=seed, size=100, **trials)
        for seed in range(3)
        for row, forget, trials in (
            ("base", 0.9, {}), ("ga", 0.0, {"trial_budget": 1}), ("spul", 0.1, {}), ("rl", 0.5, {}),
        )
    ]  # fmt: skip
    (block,) = build_blocks(rows)
    lines = {line.row: line for line in block.lines}
    assert [line.title for line in block.lines] == ["BASE", "SPUL", "RL", "GA (1 trial)"]
    assert not lines["ga"].competes
    assert {row for row, line in lines.items() if "test_forget_accuracy" in line.best} == {"spul"}
    assert not lines["ga"].ties
    assert all("ga" not in (pair.first, pair.second) for pairs in block.pairs.values() for pair in pairs)
    note = "GA was tuned with 1 trial, most methods of this table with 2: it takes no part in marks and ranks."
    assert block.notes == (note,)
    assert note in to_markdown([block])


def test_a_method_with_nothing_to_tune_has_every_budget() -> None:
    (block,) = build_blocks([BASE, entry("ga", 0.0, 0.9, trial_budget=None), entry("spul", 0.1, 0.8)])
    assert all(line.competes for line in block.lines if line.row != "base")
    assert block.notes == ()


def test_of_two_budgets_the_larger_is_the_tables() -> None:
    (block,) = build_blocks([entry("ga", 0.0, 0.9, trial_budget=20), entry("spul", 0.1, 0.8, trial_budget=1)])
    assert {line.row: line.competes for line in block.lines} == {"ga": True, "spul": False}


def transferred(row: str, rows: str, retain: float, **changes: Any) -> Entry:
    return entry(row, 0.1, retain, transfer={"arc": rows}, **changes)


def test_another_transfer_task_is_a_column_of_the_same_table() -> None:
    (block,) = build_blocks([BASE, entry("ga", 0.5, 0.9), transferred("spul", "x", 0.8)])
    assert block.transfers == ("arc",)
    assert {line.row: "transfer_arc_accuracy" in line.mean for line in block.lines} == {
        "base": False,
        "ga": False,
        "spul": True,
    }


def test_transfer_scores_on_other_rows_are_left_out() -> None:
    (block,) = build_blocks([transferred("ga", "x", 0.9), transferred("spul", "y", 0.8)])
    assert [line.row for line in block.lines if "transfer_arc_accuracy" in line.mean] == ["spul"]
    assert block.notes == ("m / sst2 / seed 0 / ga was evaluated on other rows of arc than the newest result.",)


def test_two_names_are_two_tables() -> None:
    groups = group_entries([entry("ga", 0.1, 0.9, task="path:a"), entry("ga", 0.1, 0.9, task="path:b")])
    assert [group.name for group in groups] == ["m / path:a", "m / path:b"]
