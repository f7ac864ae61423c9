"""leak@k: how likely one of several sampled answers to a forget example is right, without sampling any."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.statistics import Floats, Score

SAMPLES = (1, 8, 64)
FORGET = "test_forget"


def leak_metric(samples: int) -> str:
    """The metric's name."""
    return f"{FORGET}_leak_at_{samples}"


def kept(log_probabilities: Sequence[float]) -> dict[str, tuple[float, ...]]:
    """What results hold of them: thousandths, which move a probability by less than a thousandth of itself.

    Nothing of a model that is not finite.
    """
    if not all(map(math.isfinite, log_probabilities)):
        return {}
    return {FORGET: tuple(min(0.0, round(one, 3)) for one in log_probabilities)}


LEAKS = frozenset(map(leak_metric, SAMPLES))


def leak(log_probabilities: Floats, samples: int) -> Floats:
    """1 - (1 - p)^k: the chance that one of k independent samples at temperature 1 begins with the right answer.

    Args:
        log_probabilities: of the right answers, the sum over their tokens; of any shape.
    """
    with np.errstate(divide="ignore"):
        missed: Floats = samples * np.log1p(-np.exp(np.minimum(log_probabilities, 0.0)))
    return -np.expm1(missed)


def leaks_of(entries: Sequence[Entry]) -> dict[str, Score]:
    """The scores of a row, by metric; none unless every result has its log-probabilities, on the same rows.

    Args:
        entries: one per seed.
    """
    known = [entry.log_probabilities.get(FORGET, ()) for entry in entries]
    if not known[0] or any(len(one) != len(known[0]) for one in known):
        return {}
    values = np.array(known)
    found = {samples: leak(values, samples) for samples in SAMPLES}
    return {
        leak_metric(samples): Score(chances.mean(1), {FORGET: chances}, examples=chances.shape[1])
        for samples, chances in found.items()
    }
