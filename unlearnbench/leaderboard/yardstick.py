"""What the scores of a table are measured against: base and retrained models, and the target of forgetting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

import numpy as np

from unlearnbench.contract.objective import SUPPRESSION, ForgetScale, forget_scale
from unlearnbench.identity.ids import ZERO, ForgetTarget, TableId
from unlearnbench.leaderboard.accuracies import flags, shares, size
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.learned import learned
from unlearnbench.leaderboard.statistics import Estimate, Interval, paired_difference, two_sided

FORGET = "test_forget"


@dataclass(frozen=True)
class Yardstick:
    """The base models of a table, its retrained ones, and its target.

    Attributes:
        bases: the base model's entry of each seed.
        oracles: the retrained model's.
        labels: how many answers a model can guess from; 0 if they are free text.
    """

    bases: Mapping[int | None, Entry] = field(default_factory=dict)
    oracles: Mapping[int | None, Entry] = field(default_factory=dict)
    target: ForgetTarget = ZERO
    labels: int = 0

    @classmethod
    def of(cls, table: TableId, bases: Mapping[int | None, Entry], oracles: Mapping[int | None, Entry]) -> Yardstick:
        """That of a table with these base and retrained models."""
        labels = [len(one.labels) for one in table.splits if one.name == FORGET]
        return cls(bases, oracles, table.target, max(labels, default=0))

    def base(self, seed: int | None) -> Entry | None:
        """The base model of that seed, if it has learned its training rows."""
        base = self.bases.get(seed)
        return base if base is not None and learned(base) else None

    def level(self, seed: int | None) -> float | None:
        """The test forget accuracy below which forgetting goes too far; None if it is not known."""
        if self.target == "chance":
            return 1 / self.labels if self.labels else None
        oracle = self.oracles.get(seed)
        return None if oracle is None else float(shares([oracle], FORGET)[0])

    def scale(self, seed: int | None) -> ForgetScale | None:
        """What counts as forgotten; None if that is not defined."""
        if self.target == ZERO:
            return SUPPRESSION
        base, level = self.base(seed), self.level(seed)
        if base is None or level is None or self.nothing_to_forget:
            return None
        return forget_scale(level, float(shares([base], FORGET)[0]))

    @property
    def compared(self) -> list[int | None]:
        """Seeds of which the base model and the level are known."""
        return [seed for seed in self.bases if self.base(seed) is not None and self.level(seed) is not None]

    @cached_property
    def gap(self) -> Interval | None:
        """95 % interval of base - level in mean test forget accuracy; None if either is not known.

        These very models are what scores are measured against, so chance is that of test examples alone.
        """
        if not self.compared:
            return None
        bases, level = [self.bases[seed] for seed in self.compared], self.mean_level
        base = flags(bases, FORGET)
        if self.target == "chance":
            oracle = None if base is None else np.full(base.shape, level)
        else:
            oracle = flags([self.oracles[seed] for seed in self.compared], FORGET)
        if base is not None and oracle is not None and base.shape == oracle.shape:
            return paired_difference(base.mean(0), oracle.mean(0))
        examples = min(size(entry, FORGET) for entry in bases)
        spread = self.mean_base * (1 - self.mean_base)
        spread += 0 if self.target == "chance" else level * (1 - level)
        return two_sided(Estimate(self.mean_base - level, spread / examples, max(examples - 1, 1)))

    @property
    def nothing_to_forget(self) -> bool:
        """Whether the base model can't be told apart from a model that has forgotten."""
        return self.gap is not None and self.gap[0] <= 0 <= self.gap[1]

    @property
    def mean_level(self) -> float:
        """Over the seeds that are compared."""
        return fmean(self.level(seed) or 0.0 for seed in self.compared)

    @property
    def mean_base(self) -> float:
        """The base model's test forget accuracy over the seeds that are compared."""
        return float(shares([self.bases[seed] for seed in self.compared], FORGET).mean())
