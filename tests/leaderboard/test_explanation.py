"""Why a method stands where it stands: each number against the entries that it comes from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import invoke
from tests.leaderboard.entries import entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import CurvePointEntry, TrialEntry
from unlearnbench.leaderboard.explanation import explain_line

ROOT = Path(__file__).parents[2]
CURVE = (
    CurvePointEntry(step=0, forget_accuracy=1, retain_accuracy=1),
    CurvePointEntry(step=8, forget_accuracy=0.25, retain_accuracy=0.75),
)


def trial(number: int, objective: float | None, pruned: str | None = None) -> TrialEntry:
    return TrialEntry(
        number=number,
        values={"learning_rate": f"0.{number}"},
        objective=objective,
        forget_accuracy=None if objective is None else 0.125,
        retain_accuracy=None if objective is None else 0.5,
        pruned=pruned,
        curve=CURVE,
    )


TRIALS = (trial(0, 0.5), trial(1, 0.75), trial(2, None, "diverged"))
ENTRIES = [
    entry("base", 0.9, 0.8),
    entry("spul", 0.1, 0.8),
    entry("ga", 0.0, 0.2, trials=TRIALS, edges={"learning_rate": "upper"}),
]


def samples(key: str, base: str) -> pd.DataFrame:
    """Four test examples: GA still answers one of two forgotten ones, and has lost one of two kept ones."""
    rows = [
        (base, "test_forget", 0, "f0", "tea", "tea"),
        (base, "test_forget", 1, "f1", "tea", "tea"),
        (base, "test_retain", 0, "r0", "milk", "milk"),
        (base, "test_retain", 1, "r1", "milk", "milk"),
        (key, "test_forget", 0, "f0", "tea", "unknown"),
        (key, "test_forget", 1, "f1", "tea", "tea"),
        (key, "test_retain", 0, "r0", "milk", "unknown"),
        (key, "test_retain", 1, "r1", "milk", "milk"),
    ]
    frame = pd.DataFrame(rows, columns=["key", "split", "example", "text", "answer", "predicted"])
    return frame.assign(right=frame["answer"] == frame["predicted"])


def test_place_halves_trials_curve_answers_and_flips() -> None:
    (block,) = build_blocks(ENTRIES)
    line = next(line for line in block.lines if line.row == "ga")
    base = next(one for one in block.entries if one.row == "base")
    text = explain_line(block, line, line.entries[0], samples(line.entries[0].key, base.key), 3)
    assert "Place 2 of 2 by trade-off (40.00)" in text  # harmonic mean of 1 and 0.2 / 0.8
    assert "it keeps less" in text
    assert "| forgets | 100.00 | 90.00 |" in text
    assert "| keeps | 25.00 | 100.00 |" in text
    assert "| 1 | learning_rate = 0.1 | 75.00 | 12.50 | 50.00 | taken |" in text
    assert "| 2 | learning_rate = 0.2 |  |  |  | diverged |" in text
    assert "is at the upper end of its range" in text
    assert "| 8 | 25.00 | 75.00 |" in text
    assert "test forget: 50.00 % right; most frequent: 'unknown' 50.0 %, 'tea' 50.0 %" in text
    assert "test forget: 1 of 2 examples still answered rightly:" in text
    assert "- f1 [tea]: 'tea' → 'tea'" in text
    assert "test retain: 1 of 2 examples that the base model answered and the method does not:" in text
    assert "- r0 [milk]: 'milk' → 'unknown'" in text


@pytest.mark.slow
def test_the_committed_leaderboard_is_explained_and_wrong_names_are_refused() -> None:
    board = ROOT / "leaderboards" / "quick"
    shown = invoke("explain", board, "spul", "--task", "yelp")
    assert shown.exit_code == 0
    assert shown.output.startswith("# SPUL on yelp / tiny")
    assert "A leaderboard holds no texts" in shown.output
    assert "did you mean 'spul'" in str(invoke("explain", board, "spull").exception)
    assert "none with seed 99" in str(invoke("explain", board, "spul", "--seed", 99).exception)
