"""Made-up predictions with a known truth: seeds are a random factor, and test examples are hard or easy for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from unlearnbench.contract.objective import trade_off
from unlearnbench.leaderboard.accuracies import accuracy_score
from unlearnbench.leaderboard.scores import trade_off_score
from unlearnbench.leaderboard.statistics import Floats, Score

# Correlation of two predictions on the same example (of normal variables behind them): of one method's seeds, and of
# two methods.
SEEDS_ALIKE, METHODS_ALIKE = 0.5, 0.3
BASE_RETAIN, BASE_SPREAD = 0.9, 0.02


@dataclass(frozen=True)
class Seeds:
    """How a method's accuracy scatters between seeds.

    Attributes:
        mean, spread: of a beta distribution.
        collapse: chance that a seed collapses to 0 instead.
    """

    mean: float
    spread: float
    collapse: float = 0.0

    def draw(self, size: int | tuple[int, ...], generator: np.random.Generator) -> Floats:
        """True accuracies of as many seeds."""
        if self.spread == 0:
            drawn = np.full(size, self.mean)
        else:
            sharpness = self.mean * (1 - self.mean) / self.spread**2 - 1
            drawn = generator.beta(self.mean * sharpness, (1 - self.mean) * sharpness, size)
        return np.where(generator.random(size) < self.collapse, 0.0, drawn)

    @property
    def expected(self) -> float:
        """The true accuracy over all seeds."""
        return (1 - self.collapse) * self.mean


class World:
    """Test examples that all methods share."""

    def __init__(self, examples: int, generator: np.random.Generator) -> None:
        self._generator = generator
        self._common = generator.standard_normal(examples) * METHODS_ALIKE**0.5

    def right(self, accuracies: Floats) -> Floats:
        """Which predictions of one method are right, ``[seeds, examples]``, from its true accuracies ``[seeds]``."""
        shape = (len(accuracies), len(self._common))
        own = self._generator.standard_normal(shape[1]) * (SEEDS_ALIKE - METHODS_ALIKE) ** 0.5
        rest = self._generator.standard_normal(shape) * (1 - SEEDS_ALIKE) ** 0.5
        threshold = ndtri(np.clip(accuracies, 1e-12, 1 - 1e-12))
        return (self._common + own + rest < threshold[:, None]).astype(float)


def accuracies(methods: list[Seeds], seeds: int, examples: int, generator: np.random.Generator) -> dict[str, Score]:
    """Scores of methods on the same examples."""
    world = World(examples, generator)
    return {
        str(number): accuracy_score(world.right(method.draw(seeds, generator))) for number, method in enumerate(methods)
    }


def results(
    methods: list[tuple[Seeds, Seeds]], seeds: int, examples: int, generator: np.random.Generator
) -> dict[str, dict[str, Score]]:
    """Forget and retain accuracy and trade-off of methods, given by (forget, retain), from one base model per seed."""
    forget, retain = World(examples, generator), World(examples, generator)
    base = retain.right(Seeds(BASE_RETAIN, BASE_SPREAD).draw(seeds, generator))
    found = {}
    for number, (forgetting, keeping) in enumerate(methods):
        wrong, kept = (
            world.right(kind.draw(seeds, generator)) for world, kind in ((forget, forgetting), (retain, keeping))
        )
        found[str(number)] = {
            "forget": accuracy_score(wrong),
            "retain": accuracy_score(kept),
            "trade-off": trade_off_score(wrong, kept, base),
        }
    return found


def true_trade_off(forget: Seeds, retain: Seeds) -> float:
    """The mean over very many seeds, on very many examples."""
    generator, many = np.random.default_rng(0), 100_000
    sides = (forget, retain, Seeds(BASE_RETAIN, BASE_SPREAD))
    return float(
        np.mean([trade_off(*each) for each in zip(*(side.draw(many, generator) for side in sides), strict=True)])
    )
