"""Trade-offs need a base model that knows what is to be forgotten."""

from __future__ import annotations

import pytest

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.compare import compare_entries
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.learned import base_accuracy, learned
from unlearnbench.leaderboard.overall import overall
from unlearnbench.leaderboard.render import to_markdown, to_terminal


def base(forget: float, retain: float, *, rows: tuple[int, int] = (10, 10), seed: int = 0, task: str = "sst2") -> Entry:
    """A base model's result with these training accuracies on so many forget and retain rows."""
    made = entry("base", 0.9, 0.9, seed, task=task)
    changed = {"train_forget_accuracy": forget, "train_retain_accuracy": retain}
    changed |= {"train_forget_examples": float(rows[0]), "train_retain_examples": float(rows[1])}
    return made.model_copy(update={"metrics": made.metrics | changed})


METHODS = [one for one in ENTRIES if one.row != "base"]


def test_rows_of_both_sets_count_alike() -> None:
    assert base_accuracy(base(1.0, 0.9, rows=(100, 300))) == pytest.approx((100 + 270) / 400)


@pytest.mark.parametrize(("forget", "retain", "enough"), [(1.0, 1.0, True), (0.9, 1.0, True), (0.88, 1.0, False)])
def test_19_of_20_rows_are_enough(forget: float, retain: float, enough: bool) -> None:
    assert learned(base(forget, retain)) is enough


def test_no_trade_off_beside_a_base_model_that_never_learned() -> None:
    (block,) = build_blocks([*METHODS, base(0.2, 0.46)])
    assert not any("trade_off" in line.mean or "trade_off" in line.scores for line in block.lines)
    assert "trade_off" not in block.pairs
    assert any("never learned its training rows (33.0 % with seed 0" in note for note in block.notes)
    text = to_markdown([block])
    lines = text.splitlines()
    header = next(line for line in lines if line.startswith("| row | trade-off ↑ |"))
    spul = next(line for line in lines[lines.index(header) :] if line.startswith("| SPUL"))
    assert spul.split("|")[2].strip() == ""
    assert "never learned" in text
    assert "never learned its training rows" in str(to_terminal(block, 200)[-1].caption)
    (fine,) = build_blocks([*METHODS, base(1.0, 1.0)])
    assert "trade_off" in next(line for line in fine.lines if line.row == "spul").mean
    assert not any("never learned" in note for note in fine.notes)


def test_one_seed_that_never_learned_takes_the_trade_off_of_all() -> None:
    seeds = [entry("spul", 0.1, 0.8, seed) for seed in (0, 1)]
    (block,) = build_blocks([*seeds, base(1.0, 1.0), base(0.5, 0.5, seed=1)])
    assert "trade_off" not in next(line for line in block.lines if line.row == "spul").mean
    assert any("(50.0 % with seed 1;" in note for note in block.notes)


def test_the_table_over_all_tasks_leaves_that_task_out() -> None:
    entries = [
        entry(row, forget, 0.8, seed, task=task)
        for row, forget in (("ga", 0.5), ("spul", 0.1))
        for seed in (0, 1, 2)
        for task in ("sst2", "yelp", "toy")
    ]
    bases = [
        base(*((0.3, 0.3) if task == "yelp" else (1.0, 1.0)), seed=seed, task=task)
        for seed in (0, 1, 2)
        for task in ("sst2", "yelp", "toy")
    ]
    (table,) = overall(build_blocks([*entries, *bases]))
    assert sorted(table.tasks) == ["sst2", "toy"]


def test_nothing_is_compared_by_such_a_trade_off() -> None:
    entries = [entry("spul", 0.1, 0.8, seed) for seed in (0, 1, 2)]
    compared = compare_entries([*entries, *(base(0.5, 0.5, seed=seed) for seed in (0, 1, 2))], entries)
    assert not any(difference.metric == "trade_off" for line in compared.lines for difference in line.differences)
