"""Fronts against a search by brute force, and against what choosing and showing on the same examples would claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from unlearnbench.contract.objective import SUPPRESSION, ForgetScale
from unlearnbench.leaderboard.front import Front, Point
from unlearnbench.leaderboard.statistics import Floats

LEVELS = (1.0, 0.95, 0.9, 0.7, 0.4, 0.0)


def drawn(generator: np.random.Generator, forget: float, retain: float, sizes: tuple[int, int]) -> Point:
    """Answers of a model with these accuracies."""
    both = zip(sizes, (forget, retain), strict=True)
    return Point(*(np.floor(generator.uniform(size=size) + share) for size, share in both))


def front(seed: int, points: int = 6, sizes: tuple[int, int] = (21, 30), scale: ForgetScale = SUPPRESSION) -> Front:
    generator = np.random.default_rng(seed)
    of_points = [drawn(generator, *generator.uniform(0.2, 1, 2), sizes) for _ in range(points)]
    return Front(drawn(generator, 0.95, 0.95, sizes), of_points, scale)


def chosen(front: Front, level: float, half: int) -> Point | None:
    """The point of a half, found by looking at all of them."""
    every_other = [slice(0, None, 2), slice(1, None, 2)][half]
    base = front.base.retain[every_other].sum()
    best: tuple[float, float, int] | None = None
    for number, point in enumerate(front.points):
        kept = min(base, point.retain[every_other].sum())
        if kept + 1e-6 < level * base:
            continue
        distance = abs(point.forget[every_other].mean() - front.scale.target)
        key = (round(distance, 9), -kept, number)
        best = key if best is None or key < best else best
    return None if best is None else front.points[best[2]]


def shown(front: Front, level: float, of: str) -> list[float]:
    """Each example's answer, by the point that the other half chooses."""
    by_half = [chosen(front, level, half) or front.base for half in (0, 1)]
    return [float(getattr(by_half[1 - index % 2], of)[index]) for index in range(len(getattr(front.base, of)))]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scale", [SUPPRESSION, ForgetScale(0.5, 0.4)])
def test_each_example_is_answered_by_what_the_other_half_chooses(seed: int, scale: ForgetScale) -> None:
    found = front(seed, scale=scale)
    for level in LEVELS:
        at = found.at(level)
        assert at.forget.tolist() == shown(found, level, "forget")
        assert at.retain.tolist() == shown(found, level, "retain")
        assert at.reached == sum(chosen(found, level, half) is not None for half in (0, 1)) / 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [SUPPRESSION, ForgetScale(0.5, 0.4)])
def test_area_is_the_mean_of_what_is_forgotten_over_levels(seed: int, scale: ForgetScale) -> None:
    found, levels = front(seed, scale=scale), (np.arange(1000) + 0.5) / 1000
    total = 0.0
    for level in levels:
        answers = np.array(shown(found, level, "forget"))
        for half in (answers[0::2], answers[1::2]):
            total += scale.forgotten(float(half.mean())) / 2
    assert found.area == pytest.approx(total / len(levels), abs=2 * 6 / len(levels))


# No target between two shares of eleven, which points on either side of it would tie at.
@pytest.mark.parametrize("scale", [SUPPRESSION, ForgetScale(0.47, 0.4)])
def test_influence_is_the_areas_derivative_by_examples(scale: ForgetScale) -> None:
    found, step = front(3, scale=scale), 1e-6
    influence = found.area_influence
    for index in range(len(influence)):

        def moved(point: Point, at: int = index) -> Point:
            forget: Floats = point.forget.copy()
            forget[at] *= 1 + step
            return Point(forget, point.retain)

        other = Front(moved(found.base), [moved(point) for point in found.points], scale)
        assert (other.area - found.area) / step == pytest.approx(influence[index] / len(influence), abs=1e-6)
    if scale == SUPPRESSION:
        assert 1 + influence.mean() == pytest.approx(found.area)


def test_many_equal_models_do_not_look_better_than_one() -> None:
    """All fifty answer half of the forget examples; the lowest count among them would claim a third."""
    generator = np.random.default_rng(0)
    sizes, claimed, found = (40, 40), [], []
    for _ in range(100):
        points = [drawn(generator, 0.5, 1.0, sizes) for _ in range(50)]
        claimed.append(min(point.forget.mean() for point in points))
        found.append(Front(drawn(generator, 1.0, 1.0, sizes), points).at(0.95).forget.mean())
    assert np.mean(claimed) < 0.35
    assert np.mean(found) == pytest.approx(0.5, abs=3 * np.std(found) / np.sqrt(len(found)))


def test_where_nothing_keeps_enough_the_base_model_stands_in() -> None:
    base, point = Point(np.ones(4), np.ones(4)), Point(np.zeros(4), np.array([1.0, 1, 1, 0]))
    found = Front(base, [point])
    at = found.at(0.95)
    # Retain examples 0 and 2 are kept, 1 and 3 half: the even half chooses the point, and the odd one shows it.
    assert at.reached == 0.5
    assert at.forget.tolist() == [1, 0, 1, 0]
    assert at.retain.tolist() == [1, 1, 1, 0]
    assert found.at(0.5).reached == 1
    # The even half's point holds at all levels, the odd half's up to one half.
    assert found.area == pytest.approx((1 + 0.5) / 2)
    assert Front(base, []).at(0.1).reached == 0
    assert Front(base, []).area == 0


def test_what_keeps_more_than_the_base_model_counts_as_all() -> None:
    base, point = Point(np.ones(2), np.array([1.0, 1, 0, 0])), Point(np.zeros(2), np.ones(4))
    assert Front(base, [point]).area == 1
    assert Front(base, [point]).at(1).reached == 1


def test_of_equally_forgotten_points_the_one_that_keeps_more_is_taken() -> None:
    base = Point(np.ones(2), np.ones(20))
    fewer: Sequence[float] = [0, 0, *[1] * 18]
    worse, better = Point(np.zeros(2), np.array(fewer)), Point(np.zeros(2), np.ones(20))
    for points in ([worse, better], [better, worse]):
        assert Front(base, points).at(0.9).retain.tolist() == [1] * 20
