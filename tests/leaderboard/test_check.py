"""What a contributed leaderboard must fulfil."""

from __future__ import annotations

from typing import Any

import pytest

from tests.leaderboard.entries import ENTRIES, entry, flags
from unlearnbench.leaderboard.check import check_entries
from unlearnbench.leaderboard.entry import DataFacts, Entry


def spul(**changes: Any) -> list[Entry]:
    return [entry("spul", 0.1, 0.8, **changes), *ENTRIES[1:]]


def metrics(**changes: float) -> dict[str, float]:
    return {**ENTRIES[0].metrics, **changes}


def test_good_results_pass() -> None:
    assert check_entries(ENTRIES) == []


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([], "it holds no results"),
        (ENTRIES[:1], "the base model's result of the same seed is missing"),
        ([*ENTRIES, ENTRIES[0]], "occurs 2 times"),
        (spul(metrics=metrics(train_retain_f1=1.2)), "train_retain_f1 is 1.2, but must be between 0 and 1"),
        (spul(metrics=metrics(training_wall_seconds=-1)), "training_wall_seconds is -1.0, but must not be negative"),
        (spul(metrics=metrics(test_retain_examples=11)), "give test_retain different numbers of examples"),
        (spul(metrics=metrics(test_forget_accuracy=0.5)), "right.test_forget makes an accuracy of 0.1000"),
        (spul(right={"test_forget": flags(0.1), "test_retain": "1"}), "right.test_retain has 1 flags"),
        (spul(right={"test_forget": flags(0.1)}), "right.test_retain is missing"),
        (spul(metrics={k: v for k, v in metrics().items() if k != "test_forget_f1"}), "test_forget_f1 is missing"),
        (spul(data=DataFacts(source="", fingerprint="f", sizes={})), "test_forget has no examples"),
        (spul(versions={}), "versions.torch is missing"),
        (spul(hardware={}), "hardware is empty"),
        (spul(config=None), "config is missing"),
        (spul(config={"tasks": 3}), "config is not valid"),
    ],
)
def test_each_fault_is_named(entries: list[Entry], problem: str) -> None:
    assert any(problem in found for found in check_entries(entries)), check_entries(entries)
