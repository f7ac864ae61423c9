"""How far the order of the methods in a table is the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlearnbench.contract.objective import trade_off
from unlearnbench.contract.rows import BASE
from unlearnbench.identity.ids import ZERO
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.measures import lower_is_better
from unlearnbench.leaderboard.scores import TRADE_OFF
from unlearnbench.leaderboard.statistics import CONFIDENCE, Estimate, Floats, Interval, estimate

METRICS = (TRADE_OFF, "test_retain_accuracy", "test_forget_accuracy")
# With fewer methods every order agrees by chance.
FEWEST_METHODS = 4
DRAWS = 10_000


@dataclass(frozen=True)
class Agreement:
    """The rank correlation of one metric over the methods that a table and the paper have.

    Attributes:
        correlation: Somers' D, that is Kendall's tau over the pairs of methods that the paper does not tie.
        interval: of the correlation, 95 %: over seeds and test examples of the table; the paper's single numbers are
            taken as they are.
        places: by method, best first: its place in the table and in the paper, 1 is the best, ties share the mean.
    """

    metric: str
    correlation: float
    interval: Interval
    places: Mapping[str, tuple[float, float]]


def agreements(block: Block, published: Sequence[Line]) -> list[Agreement]:
    """For each judged metric how well the methods' orders agree; nothing for fewer than four common methods."""
    theirs = _with_trade_off(published)
    found = []
    # The paper's target is zero.
    for metric in METRICS if block.target == ZERO else METRICS[1:]:
        judged = [line for line in block.lines if line.competes and metric in line.scores]
        ours = {line.row: estimate(line.scores[metric]) for line in judged if metric in theirs.get(line.row, {})}
        if len(ours) >= FEWEST_METHODS:
            found.append(_agreement(metric, ours, {row: theirs[row][metric] for row in ours}))
    return found


def _with_trade_off(published: Sequence[Line]) -> dict[str, dict[str, float]]:
    """The published means by row, with the trade-off that they amount to."""
    means = {line.row: dict(line.mean) for line in published}
    if BASE in means:
        base = means[BASE]["test_retain_accuracy"]
        for mean in means.values():
            mean[TRADE_OFF] = trade_off(mean["test_forget_accuracy"], mean["test_retain_accuracy"], base)
    return means


def _agreement(metric: str, ours: Mapping[str, Estimate], theirs: Mapping[str, float]) -> Agreement:
    from scipy.stats import rankdata

    sign = 1 if lower_is_better(metric) else -1
    values = np.array([sign * found.value for found in ours.values()])
    reference = np.array([sign * theirs[row] for row in ours])
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(somers(_redrawn(list(ours.values())) * sign, reference), (tail, 100 - tail))
    places = zip(ours, rankdata(values), rankdata(reference), strict=True)
    ordered = sorted(places, key=lambda place: (place[1], place[2], place[0]))
    return Agreement(
        metric,
        float(somers(values[None], reference)[0]),
        (float(low), float(high)),
        {row: (float(here), float(there)) for row, here, there in ordered},
    )


def _redrawn(estimates: Sequence[Estimate]) -> Floats:
    """Means as other seeds and test examples might have given them, ``[draws, methods]``: Student's t around each."""
    generator = np.random.default_rng(0)
    freedom = np.array([found.freedom for found in estimates])
    scale = np.sqrt([found.variance for found in estimates])
    noise = generator.standard_t(freedom, (DRAWS, len(estimates)))
    return np.array([found.value for found in estimates]) + scale * noise


def somers(values: Floats, reference: Floats) -> Floats:
    """Somers' D of each row given the reference: Kendall's tau over the pairs that the reference does not tie.

    Args:
        values: ``[rows, methods]``.
        reference: ``[methods]``, not all equal.
    """
    first, second = np.triu_indices(len(reference), 1)
    other = np.sign(reference[first] - reference[second])
    found: Floats = np.sign(values[:, first] - values[:, second]) @ other / np.abs(other).sum()
    return found


def sentences(block: Block, published: Sequence[Line]) -> list[str]:
    """What the agreements say, one sentence for each metric."""
    titles = {line.row: line.title for line in block.lines}
    return [_sentence(found, titles) for found in agreements(block, published)]


def _sentence(found: Agreement, titles: Mapping[str, str]) -> str:
    name = found.metric.replace("trade_off", "trade-off").replace("_", " ")
    low, high = found.interval
    places = ", ".join(f"{titles[row]} {here:g} ({there:g})" for row, (here, there) in found.places.items())
    return (
        f"Order by {name} against the paper's: Kendall's tau {found.correlation:.2f}, 95 % interval {low:.2f} to "
        f"{high:.2f}; places here (there): {places}."
    )
