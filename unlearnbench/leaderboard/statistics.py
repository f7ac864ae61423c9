"""How sure a number is: intervals of a method's score, and tests between methods.

A score has two sources of chance. Seeds are a random factor: another seed trains another model. Test examples are the
other, and all methods share them. With y_si = mu + a_s + b_i + e_si for seed s and example i, the mean over S seeds has
the variance

    V = s^2 / S + C,

where s^2 is the sample variance of the seeds' own scores (which holds each seed's chance of examples) and C is the mean
covariance that two seeds' scores have because they were measured on the same examples. C equals the variance over
examples less the residual. V is never taken to be smaller than either s^2 / S or the variance over examples.

Few seeds give a poor s^2, and more often one that is too small than one that is too large, so it is raised to its
median-unbiased estimate (Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions, chapter 18):
s^2 (S - 1) / median of chi^2 with S - 1 degrees of freedom, which is 1.44 s^2 for three seeds and 1.08 s^2 for ten.
Degrees of freedom are Satterthwaite's. `python -m benchmarks.calibration` measures what these rules hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
SIGNIFICANT_BELOW = 1 - CONFIDENCE
# With two, methods whose seeds hold or collapse are called different far too often (see the calibration).
FEWEST_SEEDS = 3
# What a plan reckons with for two methods that are right half of the time, over the number of examples: the variance
# that examples give each seed's accuracy for itself, and the one that they give the difference with every seed, which
# more seeds do not lessen. The first is a quarter less what seeds share (a correlation of a third). The second is at
# the upper end of what the committed leaderboards have (0.02 to 0.07 as the mean over pairs of methods).
SEED_BY_EXAMPLES, SHARED_BY_EXAMPLES = 0.165, 0.07

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """One metric of one method: a share between 0 and 1 for each seed.

    Attributes:
        values: ``[seeds]``.
        influence: by set of test examples, ``[seeds, examples]``: a seed's value moves, to first order, like the mean
            of its row when examples are exchanged (for an accuracy: 1 if right, 0 if wrong). Empty if the single
            predictions are not known.
        example_variance: the variance that a seed's value has from its test examples; needed without `influence`.
        examples: the smallest number of test examples that the metric rests on.
        signed: the score before negative values were set to 0, if that is how `values` came about.
    """

    values: Floats
    influence: Mapping[str, Floats] = field(default_factory=dict)
    example_variance: float = 0.0
    examples: int = 1
    signed: Score | None = None

    @property
    def seeds(self) -> int:
        """How many seeds it has."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(self.values.mean())


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, and how far chance may have moved it.

    Attributes:
        variance: of `value`.
        freedom: degrees of freedom of `variance`.
    """

    value: float
    variance: float
    freedom: float

    @property
    def statistic(self) -> float:
        """The value over its standard error."""
        if self.variance > 0:
            return self.value / math.sqrt(self.variance)
        return math.copysign(math.inf, self.value) if self.value else 0.0


@dataclass(frozen=True)
class Pair:
    """The difference of two methods, first - second, as one of all pairs.

    Attributes:
        interval: simultaneous: all pairs' intervals hold the true differences together with the confidence asked for.
        methods: how many are compared, all with all.
    """

    first: str
    second: str
    found: Estimate
    interval: Interval
    methods: int

    @property
    def difference(self) -> float:
        """First - second."""
        return self.found.value

    @property
    def significant(self) -> bool:
        """Whether the two differ by more than chance explains."""
        return not self.interval[0] <= 0 <= self.interval[1]

    @property
    def p_value(self) -> float:
        """Adjusted for the number of methods."""
        from scipy.stats import studentized_range

        if self.found.value == 0:
            return 1.0
        reach = math.sqrt(2) * abs(self.found.statistic)
        return float(studentized_range.sf(reach, self.methods, _rounded_down(self.found.freedom)))


def estimate(score: Score) -> Estimate:
    """The mean over seeds. With one seed its variance is that over examples alone."""
    return _combined(score.mean, [score], _examples_part(score))


def difference(first: Score, second: Score) -> Estimate | None:
    """First - second; None if one of them has fewer than `FEWEST_SEEDS` seeds.

    Seeds are not paired: the two may have other seeds, and other numbers of them. Test examples are, where both know
    their single predictions on the same ones.
    """
    if min(first.seeds, second.seeds) < FEWEST_SEEDS:
        return None
    return _combined(first.mean - second.mean, [first, second], _paired_examples_part(first, second))


def difference_over_examples(first: Score, second: Score) -> Estimate:
    """First - second of the models as they are: chance is that of test examples alone, paired as in `difference`."""
    found = first, second
    return _combined(first.mean - second.mean, [_one_model(score) for score in found], _paired_examples_part(*found))


def _one_model(score: Score) -> Score:
    return Score(score.values.mean(keepdims=True), examples=score.examples)


@dataclass(frozen=True)
class _ExamplesPart:
    """What examples do to a mean over seeds: the whole variance over them, and the share that seeds have in common."""

    whole: float
    shared: float
    examples: int


def _combined(value: float, scores: Sequence[Score], part: _ExamplesPart) -> Estimate:
    """V = s^2 / S + C with Satterthwaite's degrees of freedom, see the module's description."""
    by_seeds = [
        (raised * float(score.values.var(ddof=1)) / score.seeds, score.seeds - 1)
        for score in scores
        if score.seeds > 1
        for raised in [_median_unbiased(score.seeds - 1)]
    ]
    seeds, shared = sum(variance for variance, _ in by_seeds), max(part.shared, 0.0)
    # A difference is never known better than to one example.
    variance = max(seeds + part.shared, seeds, part.whole, part.examples**-2 if len(scores) > 1 else 0.0)
    terms = sum(own**2 / freedom for own, freedom in by_seeds) + shared**2 / max(part.examples - 1, 1)
    fewest = min((freedom for _, freedom in by_seeds), default=max(part.examples - 1, 1))
    freedom = min(variance**2 / terms, max(part.examples - 1, 1)) if seeds > 0 else float(fewest)
    return Estimate(value, variance, max(freedom, fewest if seeds > 0 else 1.0))


@cache
def _median_unbiased(freedom: int) -> float:
    """Factor that makes a sample variance as often too large as too small."""
    from scipy.special import chdtri

    return float(freedom / chdtri(freedom, 0.5))


def _examples_part(score: Score) -> _ExamplesPart:
    if not score.influence:
        # Seeds err on the same examples at worst.
        return _ExamplesPart(score.example_variance, score.example_variance, score.examples)
    whole, own = 0.0, 0.0
    for influence in score.influence.values():
        whole += _variance_of_mean(influence.mean(0))
        own += float(np.mean([_variance_of_mean(seed) for seed in influence]))
    return _ExamplesPart(whole, _shared(whole, own, score.seeds), score.examples)


def _paired_examples_part(first: Score, second: Score) -> _ExamplesPart:
    """For the difference; independent examples (the cautious choice) where they can't be paired."""
    one, other = _examples_part(first), _examples_part(second)
    whole, shared = one.whole + other.whole, one.shared + other.shared
    for name in first.influence.keys() & second.influence.keys():
        a, b = first.influence[name].mean(0), second.influence[name].mean(0)
        if len(a) == len(b):
            common = 2 * float((a - a.mean()) @ (b - b.mean())) / (len(a) * max(len(a) - 1, 1))
            whole, shared = whole - common, shared - common
    return _ExamplesPart(max(whole, 0.0), shared, min(first.examples, second.examples))


def _variance_of_mean(values: Floats) -> float:
    """Of values ``[examples]``."""
    return float(((values - values.mean()) ** 2).sum()) / (len(values) * max(len(values) - 1, 1))


def _shared(whole: float, own: float, seeds: int) -> float:
    """The mean covariance of two seeds, from whole = own / S + shared (S - 1) / S."""
    return (seeds * whole - own) / (seeds - 1) if seeds > 1 else whole


def interval(score: Score) -> Interval:
    """The interval of the mean over seeds, in Wilson's form, so that it stays between 0 and 1 and never has width 0.

    The number of examples is the effective one, n = m (1 - m) / V, and Student's t stands for the normal quantile. With
    one seed it knows of test examples only. If negative values were set to 0, it holds that of the signed values, too:
    chance may have put a value on either side of 0, and Wilson's form knows of no 0 that is not exact.
    """
    from scipy.special import stdtrit

    found = estimate(score)
    low, high = wilson(found, score.examples, float(stdtrit(found.freedom, (1 + CONFIDENCE) / 2)))
    if score.signed is None:
        return low, high
    below, above = two_sided(estimate(score.signed))
    return max(0.0, min(low, below)), min(1.0, max(high, above))


def wilson(found: Estimate, examples: int, quantile: float) -> Interval:
    """Wilson's (1927) interval of a share with the effective number of examples."""
    mean, most = found.value, found.value * (1 - found.value)
    effective = most / found.variance if most > 0 and found.variance > 0 else float(examples)
    square = quantile**2 / effective
    centre = (mean + square / 2) / (1 + square)
    half = math.sqrt(max(most * square + square**2 / 4, 0.0)) / (1 + square)
    return max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean))


def paired_difference(first: Floats, second: Floats) -> Interval:
    """95 % interval of first - second over test examples, of models that are taken as they are.

    Args:
        first, second: ``[examples]``, how often each is answered right, or the chance that it is.
    """
    both = first - second
    return two_sided(estimate(Score(np.array([both.mean()]), {"": both[None]}, examples=len(both))))


def all_pairs(scores: Mapping[str, Score], confidence: float = CONFIDENCE) -> list[Pair]:
    """Every two methods that have `FEWEST_SEEDS`, by Games and Howell's (1976) procedure on these variances."""
    judged = [name for name, score in scores.items() if score.seeds >= FEWEST_SEEDS]
    differences = {
        (a, b): found for a, b in combinations(judged, 2) if (found := difference(scores[a], scores[b])) is not None
    }
    return pairs_of(differences, len(judged), confidence)


def pairs_of(
    differences: Mapping[tuple[str, str], Estimate], methods: int, confidence: float = CONFIDENCE
) -> list[Pair]:
    """Simultaneous intervals of the differences between that many methods."""
    pairs = []
    for (first, second), found in differences.items():
        reach = critical(methods, found.freedom, confidence) * math.sqrt(found.variance)
        pairs.append(Pair(first, second, found, (found.value - reach, found.value + reach), methods))
    return pairs


def differs(found: Estimate, methods: int) -> bool:
    """Whether two of so many methods differ by more than chance explains."""
    return abs(found.statistic) > critical(methods, found.freedom)


def critical(methods: int, freedom: float, confidence: float = CONFIDENCE) -> float:
    """How many standard errors two of so many equal methods may lie apart (studentised range over root 2)."""
    return _critical(methods, _rounded_down(freedom), confidence)


def _rounded_down(freedom: float) -> float:
    """Coarser (and more cautious) degrees of freedom, so that quantiles can be kept."""
    if freedom < 20:
        return max(1.0, math.floor(4 * freedom) / 4)
    return max(level for level in (20.0, 25.0, 30.0, 40.0, 60.0, 100.0, 200.0, 500.0) if level <= freedom)


@cache
def _critical(methods: int, freedom: float, confidence: float) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(confidence, methods, freedom)) / math.sqrt(2)


def two_sided(found: Estimate) -> Interval:
    """Student's interval of one difference by itself."""
    from scipy.special import stdtrit

    reach = float(stdtrit(found.freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(found.variance)
    return found.value - reach, found.value + reach


def p_value_below_zero(found: Estimate) -> float:
    """P-value of the claim that the true difference is negative (one-sided)."""
    from scipy.special import stdtr

    return float(stdtr(found.freedom, found.statistic))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted for their number (Holm 1979)."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def mean_of(parts: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates, as of one method's scores on several tasks."""
    count = len(parts)
    variance = sum(part.variance for part in parts) / count**2
    terms = sum((part.variance / count**2) ** 2 / part.freedom for part in parts)
    freedom = variance**2 / terms if terms > 0 else min(part.freedom for part in parts)
    return Estimate(sum(part.value for part in parts) / count, variance, freedom)


def detectable_difference(seeds: int, examples: int, methods: int, between: float, power: float = 0.8) -> float | None:
    """The smallest true difference of two methods that is found with probability `power`; None if even 1 is not.

    Args:
        seeds: of each method.
        examples: test examples, of which each method's predictions are about half right.
        methods: how many are compared, all with all.
        between: standard deviation between seeds.
    """
    if seeds < FEWEST_SEEDS:
        return None
    by_seeds, shared = (between**2 + SEED_BY_EXAMPLES / examples) / seeds, SHARED_BY_EXAMPLES / examples
    # Sample variances are drawn, because with few seeds they scatter too much to be replaced by their mean.
    generator, free, draws = np.random.default_rng(0), seeds - 1, 4000
    of_each = _median_unbiased(free) * by_seeds * generator.chisquare(free, (2, draws)) / free
    variance = np.maximum(of_each.sum(0) + shared, examples**-2)
    terms = (of_each**2).sum(0) / free + shared**2 / max(examples - 1, 1)
    freedom = np.floor(np.clip(variance**2 / terms, free, max(free, examples - 1)))
    reach = np.array([critical(methods, one) for one in np.unique(freedom)])[np.unique(freedom, return_inverse=True)[1]]
    error = math.sqrt(2 * by_seeds + shared)
    needed = reach * np.sqrt(variance) - error * generator.standard_normal(draws)
    smallest = float(np.quantile(needed, power))
    return smallest if smallest <= 1 else None


def surely_below_zero(differences: Mapping[str, Estimate]) -> frozenset[str]:
    """Names of the differences that are negative by more than chance explains, after Holm's correction for them all."""
    adjusted = holm({name: p_value_below_zero(found) for name, found in differences.items()})
    return frozenset(name for name, p_value in adjusted.items() if p_value < SIGNIFICANT_BELOW)
