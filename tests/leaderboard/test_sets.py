"""A plugin may call its metric whatever it likes: it becomes no transfer task and no accuracy."""

from __future__ import annotations

import pytest

from tests.leaderboard.entries import entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.check import check_entries
from unlearnbench.leaderboard.columns import columns
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.merge import contradiction
from unlearnbench.leaderboard.scores import scores_of
from unlearnbench.leaderboard.sets import evaluated, transfer_tasks
from unlearnbench.leaderboard.yardstick import Yardstick

ARC = {"transfer_arc_accuracy": 0.5, "transfer_arc_f1": 0.4, "transfer_arc_examples": 10.0}


def with_plugin(row: str, value: float) -> Entry:
    """A result with the metric "token_accuracy" of a plugin, in percent."""
    made = entry(row, 0.5, 0.5, transfer={"arc": "x"})
    own = {f"{prefix}_token_accuracy": value for prefix in ("test_forget", "test_retain", "transfer_arc")}
    return made.model_copy(update={"metrics": {**made.metrics, **ARC, **own}})


def test_only_transfer_tasks_are_transfer_tasks() -> None:
    found = with_plugin("ga", 97.0)
    assert transfer_tasks(found) == {"arc"}
    assert evaluated(found) == ["arc", "test_forget", "test_retain", "train_forget", "train_retain"]


def test_metric_of_a_plugin_is_no_column_no_score_and_no_share() -> None:
    entries = [with_plugin(row, 97.0) for row in ("vanilla", "base", "ga")]
    (block,) = build_blocks(entries)
    assert block.transfers == ("arc",)
    assert not [column for column in columns(block) if "token" in column.title]
    assert not [metric for metric in scores_of(entries[2:], Yardstick({0: entries[1]})) if "token" in metric]
    assert not [problem for problem in check_entries(entries) if "token" in problem]


@pytest.mark.parametrize(("metric", "told"), [("transfer_arc_token_accuracy", None), ("transfer_arc_accuracy",) * 2])
def test_only_accuracies_contradict_each_other(metric: str, told: str | None) -> None:
    first = with_plugin("ga", 97.0)
    second = first.model_copy(update={"metrics": {**first.metrics, metric: 0.1}})
    assert contradiction(first, second, [first, second]) == told
