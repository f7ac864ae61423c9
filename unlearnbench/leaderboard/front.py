"""What a method has forgotten where it keeps a given share of the base model's retain accuracy.

Trials, and the steps of a training, are many models, each with a forget and a retain accuracy on test examples. To take
the best of them and show the accuracies by which it was taken would flatter every method, and most of all the one with
the most points. So one half of the examples chooses and the other half shows, and the other way round: each example is
answered by a model that was chosen without it.

Where no point keeps enough, the base model stands in, which anybody can keep: it has forgotten nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from unlearnbench.contract.objective import SUPPRESSION, ForgetScale
from unlearnbench.leaderboard.statistics import Floats

# Examples are in random order.
HALVES = (slice(0, None, 2), slice(1, None, 2))
# Shares of right answers are multiples of one over their number.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Point:
    """Right (1) and wrong (0) answers of one model: ``[forget examples]`` and ``[retain examples]``."""

    forget: Floats
    retain: Floats


@dataclass(frozen=True)
class Segment:
    """Retention levels for which half of the examples chooses the same model.

    Attributes:
        low, high: levels, as shares of the base model's retain accuracy: above `low`, up to `high`.
        model: what is chosen.
        reached: whether it is one of the method's points; otherwise it is the base model.
    """

    low: float
    high: float
    model: Point
    reached: bool


@dataclass(frozen=True)
class AtLevel:
    """What a method's models answer where they keep at least a level.

    Attributes:
        forget: ``[forget examples]``, by the model that the other half of the examples chooses.
        retain: ``[retain examples]``, by the same model.
        reached: share of the two halves that find a point of the method, and not only the base model: 0, 0.5 or 1.
    """

    forget: Floats
    retain: Floats
    reached: float


@dataclass(frozen=True)
class Front:
    """The points of one seed.

    Attributes:
        base: the base model, on the same examples; it answers retain examples of each half.
        points: of the method; those of the same examples.
        scale: what counts as forgotten.
    """

    base: Point
    points: Sequence[Point]
    scale: ForgetScale = field(default=SUPPRESSION)

    @cached_property
    def _segments(self) -> tuple[Sequence[Segment], ...]:
        return tuple(_segments(self, half) for half in HALVES)

    def at(self, level: float) -> AtLevel:
        """At a retention level, a share of the base model's retain accuracy between 0 and 1."""
        chosen = [_at(segments, level) for segments in self._segments]
        forget, retain = np.empty_like(self.base.forget), np.empty_like(self.base.retain)
        for shown, segment in zip(reversed(HALVES), chosen, strict=True):
            forget[shown], retain[shown] = segment.model.forget[shown], segment.model.retain[shown]
        return AtLevel(forget, retain, sum(segment.reached for segment in chosen) / len(HALVES))

    @property
    def area(self) -> float:
        """The share forgotten (1 - forget accuracy, for target zero), averaged over all levels from 0 to 1."""
        shown = zip(reversed(HALVES), self._segments, strict=True)
        return sum(
            (segment.high - segment.low) * self.scale.forgotten(float(segment.model.forget[half].mean()))
            for half, segments in shown
            for segment in segments
        ) / len(HALVES)

    @property
    def area_influence(self) -> Floats:
        """``[forget examples]``: the area moves, to first order, like the mean of these when examples are exchanged."""
        moved = np.zeros_like(self.base.forget)
        for half, segments in zip(reversed(HALVES), self._segments, strict=True):
            weight = len(moved) / (len(HALVES) * len(moved[half]))
            for segment in segments:
                right = segment.model.forget[half]
                slope = self._slope(float(right.mean()))
                moved[half] += weight * (segment.high - segment.low) * slope * right
        return moved

    def _slope(self, forget_accuracy: float) -> float:
        """Derivative of the share forgotten by the forget accuracy."""
        distance = forget_accuracy - self.scale.target
        if abs(distance) > self.scale.distance:
            return 0.0
        return (-1.0 if distance >= 0 else 1.0) / self.scale.distance


def _segments(front: Front, half: slice) -> Sequence[Segment]:
    """What one half chooses at every level: of the points that keep it, the one that has forgotten most there.

    From the highest level to the lowest. Among equals the one that keeps more is chosen, then the earlier one.
    """
    by_retention = sorted(front.points, key=lambda point: -_retention(front, point, half))
    found: list[Segment] = []
    best, high = front.base, 1.0
    for point in by_retention:
        reach = _retention(front, point, half)
        if reach < high:
            found.append(Segment(reach, high, best, best is not front.base))
            high = reach
        if best is front.base or _distance(front, point, half) < _distance(front, best, half) - ROUNDING:
            best = point
    return [*found, Segment(0.0, high, best, best is not front.base)]


def _at(segments: Sequence[Segment], level: float) -> Segment:
    return next(segment for segment in segments if segment.low < level - ROUNDING or segment is segments[-1])


def _retention(front: Front, point: Point, half: slice) -> float:
    """Retain accuracy relative to the base model's, at most 1."""
    base = float(front.base.retain[half].mean())
    return min(1.0, float(point.retain[half].mean()) / base)


def _distance(front: Front, point: Point, half: slice) -> float:
    return abs(float(point.forget[half].mean()) - front.scale.target)
