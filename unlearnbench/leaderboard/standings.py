"""Methods over several tasks: mean score, mean rank, and which of them can't be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from unlearnbench.leaderboard.statistics import (
    CONFIDENCE,
    FEWEST_SEEDS,
    Estimate,
    Interval,
    Pair,
    Score,
    all_pairs,
    difference,
    estimate,
    mean_of,
    pairs_of,
    two_sided,
)


@dataclass(frozen=True)
class Standing:
    """A method over all tasks.

    Attributes:
        score: mean over tasks, with its interval.
        rank: mean over tasks, 1 is best; methods with equal means share theirs.
        ranks: interval of the mean rank.
        groups: letters of the groups that it belongs to; two methods that share a letter can't be told apart.
    """

    name: str
    score: float
    interval: Interval
    rank: float
    ranks: Interval
    groups: str


def standings(tasks: Sequence[Mapping[str, Score]]) -> list[Standing]:
    """Methods from the best mean rank to the worst.

    Args:
        tasks: scores by method, higher is better; the same methods in each.
    """
    names = list(tasks[0])
    means = {name: mean_of([estimate(scores[name]) for scores in tasks]) for name in names}
    ranks = [_ranks(scores) for scores in tasks]
    # All tasks' rank intervals hold together, so that their mean does.
    reaches = [rank_intervals(scores, 1 - (1 - CONFIDENCE) / len(tasks)) for scores in tasks]
    rank = {name: _mean([of_task[name] for of_task in ranks]) for name in names}
    ordered = sorted(names, key=lambda name: (rank[name], -means[name].value, name))
    letters = groups(ordered, pairs_over(tasks))
    return [
        Standing(
            name,
            means[name].value,
            _within_0_and_1(two_sided(means[name])),
            rank[name],
            (_mean([reach[name][0] for reach in reaches]), _mean([reach[name][1] for reach in reaches])),
            letters[name],
        )
        for name in ordered
    ]


def _within_0_and_1(interval: Interval) -> Interval:
    return max(0.0, interval[0]), min(1.0, interval[1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ranks(scores: Mapping[str, Score]) -> dict[str, float]:
    """1 for the highest mean; equal ones share the mean of their places."""
    means = {name: score.mean for name, score in scores.items()}
    return {
        name: 1 + sum(other > own for other in means.values()) + (sum(other == own for other in means.values()) - 1) / 2
        for name, own in means.items()
    }


def rank_intervals(scores: Mapping[str, Score], confidence: float = CONFIDENCE) -> dict[str, Interval]:
    """The ranks that each method may truly have, simultaneously.

    A method is worse than those that are significantly better, and better than those that are significantly worse
    (Mogstad, Romano, Shaikh and Wilhelm 2024, Inference for Ranks).
    """
    pairs = [pair for pair in all_pairs(scores, confidence) if pair.significant]
    better = [(pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first) for pair in pairs]
    return {
        name: (
            1.0 + sum(worse == name for _, worse in better),
            float(len(scores)) - sum(first == name for first, _ in better),
        )
        for name in scores
    }


def pairs_over(tasks: Sequence[Mapping[str, Score]]) -> list[Pair]:
    """Differences of every two methods' mean scores over the tasks; none of methods with too few seeds."""
    judged = [name for name in tasks[0] if all(scores[name].seeds >= FEWEST_SEEDS for scores in tasks)]
    differences: dict[tuple[str, str], Estimate] = {}
    for a, b in combinations(judged, 2):
        parts = [difference(scores[a], scores[b]) for scores in tasks]
        differences[a, b] = mean_of([part for part in parts if part is not None])
    return pairs_of(differences, len(judged))


def groups(ordered: Sequence[str], pairs: Sequence[Pair]) -> dict[str, str]:
    """Letters by method: the largest sets of methods in which no two differ significantly, best first."""
    apart = {frozenset((pair.first, pair.second)) for pair in pairs if pair.significant}
    near = {a: {b for b in ordered if b != a and frozenset((a, b)) not in apart} for a in ordered}
    places = sorted(
        sorted(ordered.index(name) for name in clique) for clique in _cliques(set(), set(ordered), set(), near)
    )
    return {
        name: "".join(_letter(number) for number, clique in enumerate(places) if ordered.index(name) in clique)
        for name in ordered
    }


def _letter(number: int) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return alphabet[number] if number < len(alphabet) else f"({number + 1})"


def _cliques(
    chosen: set[str], candidates: set[str], excluded: set[str], near: Mapping[str, set[str]]
) -> list[set[str]]:
    """Bron and Kerbosch's (1973) maximal cliques."""
    if not candidates and not excluded:
        return [chosen]
    found = []
    for name in sorted(candidates):
        found += _cliques(chosen | {name}, candidates & near[name], excluded & near[name], near)
        candidates, excluded = candidates - {name}, excluded | {name}
    return found
