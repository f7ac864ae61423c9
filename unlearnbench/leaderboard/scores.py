"""From results to scores: a row's accuracies and trade-off, and how much each test example moves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlearnbench.contract.objective import ForgetScale, over_forgetting, trade_off
from unlearnbench.identity.ids import ZERO, ForgetTarget
from unlearnbench.leaderboard.accuracies import accuracy, flags, metric_name, shares, size
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.footing import SCORES, footing_scores
from unlearnbench.leaderboard.leaks import LEAKS, leaks_of
from unlearnbench.leaderboard.sets import transfer_tasks
from unlearnbench.leaderboard.statistics import Floats, Score
from unlearnbench.leaderboard.utility import utilities_of
from unlearnbench.leaderboard.yardstick import Yardstick

TRADE_OFF, OVER_FORGETTING = "trade_off", "over_forgetting"
# Scores without marks: who forgets nothing does not forget too much either, what leaks hangs on the target, and what is
# chosen on half of the examples scatters by the choice, too, which no interval of one seed knows of.
UNJUDGED = LEAKS | SCORES | {OVER_FORGETTING}
FORGET, RETAIN = "test_forget", "test_retain"


def has_direction(metric: str, target: ForgetTarget) -> bool:
    """Whether one of two values is better; with another target than zero, forget accuracies aim at a level."""
    return target == ZERO or metric != metric_name(FORGET)


@dataclass(frozen=True)
class Level:
    """What forget accuracies are measured against if the target is not zero, ``[seeds, forget examples]`` each.

    Attributes:
        oracle: the retrained model's right answers; a model's that guesses are its chance on every example.
        base: the base model's right answers.
    """

    oracle: Floats
    base: Floats


def trade_off_score(forget: Floats, retain: Floats, base_retain: Floats, level: Level | None = None) -> Score:
    """The score of `objective.trade_off`, with its gradients times what the examples do to the accuracies.

    The gradient by retain accuracy does not stop where that reaches the base model's, nor that by forget accuracy at
    the target: the other side of the kink is as near as the next example.

    Args:
        forget: ``[seeds, forget examples]``, 0 or 1.
        retain, base_retain: ``[seeds, retain examples]``, of the method and of the base model of the same seed.
        level: of the target; None for target zero.
    """
    means = Means.of(forget, retain, base_retain, level)
    by = means.gradients()
    of_forget = by.forget[:, None] * forget
    if level is not None:
        of_forget = of_forget + by.oracle[:, None] * level.oracle + by.base_forget[:, None] * level.base
    influence = {
        "forget": of_forget,
        "retain": by.retain[:, None] * retain + by.base_retain[:, None] * base_retain,
    }
    return Score(means.trade_offs(), influence, examples=min(forget.shape[1], retain.shape[1]))


@dataclass(frozen=True)
class Means:
    """The accuracies that a trade-off is made of, or its derivatives by them; ``[seeds]`` each.

    Attributes:
        oracle, base_forget: 0 and 1 for target zero, on which they do not depend.
    """

    forget: Floats
    retain: Floats
    base_retain: Floats
    oracle: Floats
    base_forget: Floats

    @classmethod
    def of(cls, forget: Floats, retain: Floats, base_retain: Floats, level: Level | None) -> Means:
        """The means of right answers."""
        sides = forget.mean(1), retain.mean(1), base_retain.mean(1)
        seeds = len(forget)
        target = (np.zeros(seeds), np.ones(seeds)) if level is None else (level.oracle.mean(1), level.base.mean(1))
        return cls(*sides, *target)

    def trade_offs(self) -> Floats:
        """By `objective.trade_off`."""
        every = zip(self.forget, self.retain, self.base_retain, self.oracle, self.base_forget, strict=True)
        return np.array([trade_off(f, r, b, ForgetScale(o, abs(u - o))) for f, r, b, o, u in every])

    def gradients(self) -> Means:
        """Derivatives of the harmonic mean of 1 - |forget - oracle| / |base - oracle| and retain / base."""
        known = np.where(self.base_retain > 0, self.base_retain, 1.0)
        gap, distance = self.base_forget - self.oracle, abs(self.forget - self.oracle)
        side, way = np.where(self.forget >= self.oracle, 1.0, -1.0), np.where(gap >= 0, 1.0, -1.0)
        width = abs(gap)
        forgotten = np.maximum(0.0, 1 - distance / width)
        kept = np.where(self.base_retain > 0, np.minimum(1.0, self.retain / known), 0.0)
        total = np.where(forgotten + kept > 0, forgotten + kept, 1.0)
        by_kept = 2 * (forgotten / total) ** 2
        # Beyond the base model's distance nothing is forgotten, whatever the next example does.
        by_forgotten = np.where(distance > width, 0.0, 2 * (kept / total) ** 2)
        return Means(
            -by_forgotten * side / width,
            by_kept / known,
            -by_kept * kept / known,
            by_forgotten * (side / width - distance * way / width**2),
            by_forgotten * distance * way / width**2,
        )


def scores_of(entries: Sequence[Entry], yardstick: Yardstick) -> dict[str, Score]:
    """What can be judged of a row, by the leaderboard's name of the metric.

    Args:
        entries: the row's, one per seed.
    """
    entries = sorted(entries, key=lambda entry: -1 if entry.seed is None else entry.seed)
    splits = [name for name in _judged(entries) if all(size(entry, name) > 0 for entry in entries)]
    found = {metric_name(split): accuracy(entries, split) for split in splits}
    found |= leaks_of(entries) | utilities_of(entries) | footing_scores(entries, yardstick)
    if {FORGET, RETAIN} <= set(splits):
        if all(yardstick.base(entry.seed) and yardstick.scale(entry.seed) for entry in entries):
            found[TRADE_OFF] = _trade_off(entries, yardstick)
        if all(yardstick.level(entry.seed) is not None for entry in entries):
            found[OVER_FORGETTING] = _over_forgetting(entries, yardstick)
    return found


def _judged(entries: Sequence[Entry]) -> list[str]:
    """Test splits and transfer tasks that every entry was evaluated on."""
    names = sorted(set.intersection(*(transfer_tasks(entry) for entry in entries)))
    return [FORGET, RETAIN, *names]


def _trade_off(entries: Sequence[Entry], yardstick: Yardstick) -> Score:
    bases = [yardstick.bases[entry.seed] for entry in entries]
    forget, retain, base = flags(entries, FORGET), flags(entries, RETAIN), flags(bases, RETAIN)
    level = _level(entries, yardstick)
    known = level is not None or yardstick.target == ZERO
    if forget is not None and retain is not None and base is not None and retain.shape == base.shape and known:
        return trade_off_score(forget, retain, base, level)
    return _trade_off_of_shares(entries, bases, yardstick)


def _level(entries: Sequence[Entry], yardstick: Yardstick) -> Level | None:
    """The single predictions behind the target; None if they are not known, or the target is zero."""
    forget = flags(entries, FORGET)
    if yardstick.target == ZERO or forget is None:
        return None
    base = flags([yardstick.bases[entry.seed] for entry in entries], FORGET)
    oracle = _oracle_flags(entries, yardstick)
    if base is None or oracle is None or not base.shape == oracle.shape == forget.shape:
        return None
    return Level(oracle, base)


def _oracle_flags(entries: Sequence[Entry], yardstick: Yardstick) -> Floats | None:
    if yardstick.target == "chance":
        examples = size(entries[0], FORGET)
        return np.full((len(entries), examples), 1 / yardstick.labels)
    return flags([yardstick.oracles[entry.seed] for entry in entries], FORGET)


def _trade_off_of_shares(entries: Sequence[Entry], bases: Sequence[Entry], yardstick: Yardstick) -> Score:
    """The score if single predictions are not known."""
    seeds = len(entries)
    sides = [(shares(entries, FORGET), FORGET), (shares(entries, RETAIN), RETAIN), (shares(bases, RETAIN), RETAIN)]
    if yardstick.target != ZERO:
        sides.append((np.array([yardstick.level(entry.seed) for entry in entries]), FORGET))
        sides.append((shares(bases, FORGET), FORGET))
    else:
        sides += [(np.zeros(seeds), FORGET), (np.ones(seeds), FORGET)]
    means = Means(*(share for share, _ in sides))
    by = means.gradients()
    gradients = [by.forget, by.retain, by.base_retain, by.oracle, by.base_forget]
    if yardstick.target == "chance":
        gradients[3] = np.zeros(seeds)  # it is known exactly
    sizes = {split: min(size(entry, split) for entry in [*entries, *bases]) for split in (FORGET, RETAIN)}
    variance = sum(
        float((gradient**2 * share * (1 - share)).mean()) / sizes[split]
        for gradient, (share, split) in zip(gradients, sides, strict=True)
    )
    return Score(means.trade_offs(), example_variance=variance, examples=min(sizes.values()))


def _over_forgetting(entries: Sequence[Entry], yardstick: Yardstick) -> Score:
    """The score of `objective.over_forgetting`; where nothing is forgotten too much, examples do not move it.

    With that of the signed distance to the level, which they do move: the other side of it is as near as the next
    example.
    """
    forget = shares(entries, FORGET)
    level = np.array([yardstick.level(entry.seed) for entry in entries])
    values = np.array([over_forgetting(*each) for each in zip(forget, level, strict=True)])
    right, oracle = flags(entries, FORGET), _oracle_flags(entries, yardstick)
    examples = min(size(entry, FORGET) for entry in entries)
    moved = level >= forget
    if right is not None and oracle is not None and right.shape == oracle.shape:
        signed = Score(level - forget, {FORGET: oracle - right}, examples=examples)
        return Score(values, {FORGET: moved[:, None] * (oracle - right)}, examples=examples, signed=signed)
    spread = forget * (1 - forget) + (0.0 if yardstick.target == "chance" else level * (1 - level))
    signed = Score(level - forget, example_variance=float(spread.mean()) / examples, examples=examples)
    variance = float((spread * moved).mean()) / examples
    return Score(values, example_variance=variance, examples=examples, signed=signed)
