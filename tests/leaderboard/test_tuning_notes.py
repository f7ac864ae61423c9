"""What a table says about the tuning behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.api import Choice, LogUniform
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import TrialEntry
from unlearnbench.leaderboard.files import from_csv, to_frame
from unlearnbench.leaderboard.page.page import to_html
from unlearnbench.leaderboard.render import to_markdown
from unlearnbench.leaderboard.tuning_notes import tuning_notes

TUNED_ONCE = [
    *ENTRIES[1:],
    *(entry("spul", 0.1, 0.8, seed, tuned_on=0, edges={"learning_rate": "upper"}) for seed in (0, 1, 2)),
    *(entry("npo", 0.1, 0.8, seed, edges={"beta": "lower"} if seed else {}) for seed in (0, 1, 2)),
]
ONCE = "Tuned on seed 0, whose values the other seeds take: SPUL."
EDGES = "NPO beta (lower end, seed 1, 2)", "SPUL learning_rate (upper end, seed 0)"


def test_tables_and_pages_say_on_which_seed_was_tuned_and_what_is_at_an_edge() -> None:
    blocks = build_blocks(TUNED_ONCE)
    for text in (to_markdown(blocks), to_html(blocks, {}, with_paper=False)):
        assert ONCE in text
        assert all(edge in text for edge in EDGES)
    assert "values of seed 0, 2 of at most 2 trials" in to_html(blocks, {}, with_paper=False)
    assert tuning_notes(build_blocks(ENTRIES)[0]) == []
    own = TrialEntry(number=0, values={}, objective=0.5, forget_accuracy=0.1, retain_accuracy=0.5, pruned=None)
    taken = [one.model_copy(update={"trials": (own,)}) if one.seed else one for one in TUNED_ONCE]
    text = to_html(build_blocks(taken), {}, with_paper=False)
    assert "values of seed 0, 2 of at most 2 trials" in text, "the search's trials, not the one training of this seed"


def test_both_outlive_csv(tmp_path: Path) -> None:
    file = tmp_path / "leaderboard.csv"
    to_frame(TUNED_ONCE).to_csv(file, index=False)
    assert [(one.tuned_on, one.edges) for one in from_csv(file)] == [(one.tuned_on, one.edges) for one in TUNED_ONCE]


RATE = LogUniform(1e-4, 1e-2, default=1e-3)


@pytest.mark.parametrize(
    ("parameter", "value", "side"),
    [
        (RATE, 1e-4, "lower"),
        (RATE, 1.7e-4, "lower"),  # 10 ** (-4 + 2 / 8) is 1.78e-4
        (RATE, 1.9e-4, None),
        (RATE, 5e-3, None),
        (RATE, 5.7e-3, "upper"),
        (Choice((10, 50, 30), default=30), 10, "lower"),
        (Choice((10, 50, 30), default=30), 50, "upper"),
        (Choice((10, 50, 30), default=30), 30, None),
        (Choice((0.1, 1.0), default=1.0), 1.0, None),
        (Choice(("a", "b", "c"), default="a"), "a", None),
    ],
)
def test_edges_of_ranges_and_lists(parameter: Any, value: Any, side: str | None) -> None:
    assert parameter.side(value) == side


def test_values_come_back_from_text_as_they_were() -> None:
    for parameter, value in (
        (RATE, 1.2345678901234567e-05),
        (Choice((1, 2), default=1), 2),
        (Choice(("1", "2"), default="1"), "2"),
        (Choice((True, False), default=True), False),
        (Choice((True, False), default=True), True),
    ):
        read = parameter.read(str(value))  # type: ignore[attr-defined]
        assert (read, type(read)) == (value, type(value))
