"""What every metric must fulfil."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from unlearnbench.contract.metrics import Metric, Predictions
from unlearnbench.testing.check import Check, require, require_texts

NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
LABELS = ("negative", "positive")
SENTENCES = ("the sea is blue", "a warm day in may", "nobody came", "two birds")


def metric_checks(metric: type[Metric]) -> list[Check]:
    """All checks of a metric class."""
    name = str(getattr(metric, "name", metric.__name__))
    checks: dict[str, Callable[[], None]] = {
        "declares what it is": lambda: _declares(metric),
        "is a finite number, for labels and for free text": lambda: _is_finite(metric),
        "is a share if it says so": lambda: _is_share(metric),
        "is deterministic": lambda: _is_deterministic(metric),
        "points the way that it says": lambda: _points(metric),
    }
    return [Check(name, title, check) for title, check in checks.items()]


def _predictions(right: bool, labels: bool) -> Predictions:
    """Eight answers, all of them right and likely, or all wrong and unlikely."""
    answers = list(LABELS * 4 if labels else SENTENCES * 2)
    others = answers[1:] + answers[:1]
    predicted = answers if right else others
    return Predictions(
        answers,
        predicted,
        LABELS if labels else (),
        ("unknown",),
        [-0.1 if right else -9.0] * len(answers),
        [len(answer.split()) for answer in answers],
        predicted,
    )


def _cases() -> list[Predictions]:
    return [_predictions(right, labels) for right in (True, False) for labels in (True, False)]


def _declares(metric: type[Metric]) -> None:
    require_texts(metric, metric.__name__)
    require(NAME.fullmatch(metric.name), f"name {metric.name!r} must be lower-case letters, digits and underscores")


def _is_finite(metric: type[Metric]) -> None:
    for predictions in _cases():
        value = metric().compute(predictions)
        finite = isinstance(value, int | float) and math.isfinite(value)
        require(finite, f"{metric.name} of {predictions.predicted!r} is {value!r}, but must be a finite number")


def _is_share(metric: type[Metric]) -> None:
    if not metric.is_share:
        return
    for predictions in _cases():
        value = metric().compute(predictions)
        require(0 <= value <= 1, f"{metric.name} is {value!r}: a share lies between 0 and 1 (or set is_share = False)")


def _is_deterministic(metric: type[Metric]) -> None:
    for predictions in _cases():
        first, second = (metric().compute(predictions) for _ in range(2))
        require(first == second, f"{metric.name} of the same predictions is {first!r}, then {second!r}")


def _points(metric: type[Metric]) -> None:
    for labels in (True, False):
        good, bad = (metric().compute(_predictions(right, labels)) for right in (True, False))
        worse = good > bad if metric.lower_is_better else good < bad
        aim = "lower" if metric.lower_is_better else "higher"
        require(
            not worse,
            f"{metric.name} is {good!r} if all answers are right, {bad!r} if all are wrong, but it says that {aim} is "
            f"better: set lower_is_better = {not metric.lower_is_better}",
        )
