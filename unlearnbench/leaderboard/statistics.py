"""How sure a number is: bootstrap intervals, and paired tests of methods on the same examples.

Both know two sources of chance, test examples and seeds, as far as they were sampled: with one seed only examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearnbench.leaderboard.entry import SPLITS, Entry
from unlearnbench.objective import trade_off
from unlearnbench.rows import BASE

RESAMPLES = 2000
CONFIDENCE = 0.95
SIGNIFICANT_BELOW = 0.05

Floats = NDArray[np.float64]
Interval = tuple[float, float]
# Accuracies by split, each [..., seeds], to a score [...].
Score = Callable[[Mapping[str, Floats]], Floats]


@dataclass(frozen=True)
class Sample:
    """Which predictions of a row were right.

    Attributes:
        seeds: of the rows of `right`.
        right: by test split or transfer task, ``[seeds, examples]``, 0 or 1; "base_test_retain" is the base model's.
    """

    seeds: tuple[int | None, ...]
    right: Mapping[str, Floats]

    def of(self, seeds: Sequence[int | None]) -> Sample:
        """The sample of some of its seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Sample(tuple(seeds), {name: values[rows] for name, values in self.right.items()})


def accuracy_of(split: str) -> Score:
    """Mean accuracy over seeds."""

    def mean(accuracy: Mapping[str, Floats]) -> Floats:
        over_seeds: Floats = accuracy[split].mean(-1)
        return over_seeds

    return mean


def mean_trade_off(accuracy: Mapping[str, Floats]) -> Floats:
    """Mean over seeds of `objective.trade_off`."""
    scores: Floats = np.vectorize(trade_off, otypes=[float])(
        accuracy["test_forget"], accuracy["test_retain"], accuracy["base_test_retain"]
    )
    mean: Floats = scores.mean(-1)
    return mean


def scores(sample: Sample) -> dict[str, Score]:
    """What can be judged from a sample, by the leaderboard's name of the metric."""
    found: dict[str, Score] = {
        metric_name(name): accuracy_of(name) for name in sample.right if not name.startswith("base_")
    }
    if "base_test_retain" in sample.right:
        found["trade_off"] = mean_trade_off
    return found


def metric_name(split: str) -> str:
    """The accuracy metric of a split or transfer task."""
    return f"{split}_accuracy" if split in SPLITS else f"transfer_{split}_accuracy"


def sample_of(entries: Sequence[Entry], bases: Mapping[int | None, Entry]) -> Sample | None:
    """The right predictions of a row's entries (one per seed); None where they were not recorded.

    Args:
        bases: the base model's entry of each seed.
    """
    entries = sorted(entries, key=lambda entry: -1 if entry.seed is None else entry.seed)
    shared = set.intersection(*(set(entry.right) for entry in entries))
    flags = {name: [entry.right[name] for entry in entries] for name in sorted(shared)}
    if all("test_retain" in bases[e.seed].right if e.seed in bases else False for e in entries):
        flags["base_test_retain"] = [bases[entry.seed].right["test_retain"] for entry in entries]
    if not shared or any(len({len(text) for text in texts}) > 1 for texts in flags.values()):
        return None
    right = {name: np.array([[c == "1" for c in text] for text in texts], float) for name, texts in flags.items()}
    return Sample(tuple(entry.seed for entry in entries), right)


def resample(samples: Mapping[str, Sample]) -> dict[str, dict[str, Floats]]:
    """Scores of rows after drawing examples and seeds with replacement, ``[RESAMPLES]`` by row and metric.

    All rows must have been evaluated on the same examples; each resample draws the same ones for all of them, so that
    differences of rows can be taken resample by resample.
    """
    drawn: dict[str, dict[str, Floats]] = {row: {} for row in samples}
    for split in sorted({name for sample in samples.values() for name in sample.right}):
        having = {row: sample.right[split] for row, sample in samples.items() if split in sample.right}
        # The base model's flags are drawn like those of the split they belong to.
        source = split.removeprefix("base_")
        accuracies = _resampled_means(np.concatenate([*having.values()]), seed=sum(map(ord, source)))
        ends = np.cumsum([len(values) for values in having.values()])
        for row, part in zip(having, np.split(accuracies, ends[:-1], axis=1), strict=True):
            drawn[row][split] = part
    return {row: _scores_of_draws(sample, drawn[row]) for row, sample in samples.items()}


def _resampled_means(right: Floats, seed: int) -> Floats:
    """Means of rows ``[rows, examples]`` over examples drawn with replacement, ``[RESAMPLES, rows]``."""
    generator = np.random.default_rng(seed)
    size = right.shape[1]
    chances = np.full(size, 1 / size)
    return np.concatenate([generator.multinomial(size, chances, size=n) @ right.T / size for n in _chunks(size)])


def _chunks(size: int) -> list[int]:
    """Numbers of resamples to draw at once, for at most four million values at a time."""
    most = max(1, 4_000_000 // size)
    return [min(most, RESAMPLES - done) for done in range(0, RESAMPLES, most)]


def _scores_of_draws(sample: Sample, accuracies: Mapping[str, Floats]) -> dict[str, Floats]:
    count = len(sample.seeds)
    seeds = np.random.default_rng(count).integers(count, size=(RESAMPLES, count))
    drawn = {split: np.take_along_axis(values, seeds, axis=1) for split, values in accuracies.items()}
    return {metric: score(drawn) for metric, score in scores(sample).items()}


def interval(values: Floats) -> Interval:
    """The percentile interval of resampled values."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def paired_p_value(first: Sample, second: Sample, score: Score) -> float:
    """P-value (two-sided) that two methods differ in a score, by a permutation test on the same examples.

    Under the null hypothesis an example's predictions, over all seeds, could as well be the other method's: each
    resample swaps them for a random half of the examples. With one seed and an accuracy this is McNemar's test.
    Chance between seeds is not tested: few seeds can't show it.
    """
    shared = [seed for seed in first.seeds if seed in second.seeds]
    a, b = first.of(shared).right, second.of(shared).right
    swapped: tuple[dict[str, Floats], dict[str, Floats]] = ({}, {})
    for name in sorted(a.keys() & b.keys()):
        # The base model is not swapped.
        moved = 0.0 if name.startswith("base_") else _swapped_means(b[name] - a[name])
        swapped[0][name] = np.broadcast_to(a[name].mean(1) + moved, (RESAMPLES, len(shared)))
        swapped[1][name] = np.broadcast_to(b[name].mean(1) - moved, (RESAMPLES, len(shared)))
    means = [{name: values.mean(1) for name, values in side.items()} for side in (a, b)]
    observed = abs(float(score(means[0]) - score(means[1])))
    differences = np.abs(score(swapped[0]) - score(swapped[1]))
    # The observed assignment is one of those that could have been drawn, hence the ones.
    return float((1 + np.sum(differences >= observed - 1e-12)) / (1 + RESAMPLES))


def _swapped_means(differences: Floats) -> Floats:
    """What swapping a random half of the examples adds to the first side's means, ``[RESAMPLES, seeds]``."""
    generator = np.random.default_rng(2)
    size = differences.shape[1]
    return np.concatenate([generator.integers(2, size=(n, size)) @ differences.T / size for n in _chunks(size)])


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted for their number (Holm 1979)."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def base_entries(entries: Sequence[Entry]) -> dict[int | None, Entry]:
    """The base model's entry of each seed."""
    return {entry.seed: entry for entry in entries if entry.row == BASE}
