"""What the runner tells while it runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from unlearnbench.config import RunConfig
from unlearnbench.grid.runner import Runner


def notes(forget: tuple[float, int], retain: tuple[float, int]) -> list[str]:
    """What is told of a base model with these accuracies on so many training rows."""
    told: list[str] = []
    reporter = SimpleNamespace(note=told.append)
    runner = Runner(RunConfig(), cast("Any", None), cast("Any", reporter))
    splits = {
        name: SimpleNamespace(accuracy=accuracy, predictions=SimpleNamespace(answers=["a"] * rows))
        for name, (accuracy, rows) in (("train_forget", forget), ("train_retain", retain))
    }
    runner._warn_unlearned(cast("Any", SimpleNamespace(evaluations=splits)))
    return told


def test_a_base_model_that_never_learned_is_told_at_once() -> None:
    (note,) = notes((0.2, 10), (0.5, 20))
    assert "only 40.0 % of its training rows" in note
    assert not notes((0.8, 10), (1.0, 30))
