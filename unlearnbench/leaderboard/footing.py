"""Methods on equal footing: forget accuracy where each keeps the same share of the base model's retain accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unlearnbench.leaderboard.entry import AnsweredPointEntry, Entry, TrialEntry
from unlearnbench.leaderboard.front import HALVES, Front, Point
from unlearnbench.leaderboard.statistics import Floats, Score
from unlearnbench.leaderboard.yardstick import Yardstick

# Of the base model's retain accuracy, in percent.
LEVELS = (95, 90)
AREA = "front_area"
# The examples of tested points, which are fewer than those of the test splits.
FORGET = "tested_forget"


def forget_at(level: int) -> str:
    """The metric's name: forget accuracy where that many percent are kept."""
    return f"test_forget_at_{level}"


def retained_at(level: int) -> str:
    """The metric's name: what is kept there on the examples that show it, as a share of the base model's."""
    return f"retained_at_{level}"


def reached_at(level: int) -> str:
    """The metric's name: share of the choices that find a point of the method which keeps as much."""
    return f"reached_at_{level}"


SCORES = frozenset({AREA, *map(forget_at, LEVELS)})


def fronts_of(entries: Sequence[Entry], yardstick: Yardstick) -> list[Front]:
    """A front for each seed of a line; none unless all have tested points, on the same number of examples.

    Args:
        entries: one per seed.
    """
    fronts = [_front(entry, yardstick) for entry in entries]
    found = [front for front in fronts if front is not None]
    shapes = {(front.base.forget.shape, front.base.retain.shape) for front in found}
    return found if len(found) == len(entries) and len(shapes) == 1 else []


def _front(entry: Entry, yardstick: Yardstick) -> Front | None:
    scale = yardstick.scale(entry.seed)
    tested = [trial.tested for trial in _trials(entry) if trial.tested]
    if not tested or scale is None or yardstick.base(entry.seed) is None:
        return None
    base, *_ = (_point(points[0]) for points in tested)
    front = Front(base, [_point(point) for points in tested for point in points[1:]], scale)
    return front if _can_be_halved(front) else None


def _trials(entry: Entry) -> Sequence[TrialEntry]:
    """Those of the seed's own search; if another seed's values were taken, that of these values, on every seed."""
    if entry.tuned_on is None:
        return entry.trials
    return () if entry.best_trial is None else (entry.best_trial,)


def _point(point: AnsweredPointEntry) -> Point:
    return Point(*(np.array([flag == "1" for flag in flags], float) for flags in (point.forget, point.retain)))


def _can_be_halved(front: Front) -> bool:
    """Whether each half has examples, of which the base model answers some retain examples."""
    fits = all(
        (point.forget.shape, point.retain.shape) == (front.base.forget.shape, front.base.retain.shape)
        for point in front.points
    )
    halves = [(front.base.forget[half], front.base.retain[half]) for half in HALVES]
    return fits and all(len(forget) > 0 and retain.any() for forget, retain in halves)


def footing_scores(entries: Sequence[Entry], yardstick: Yardstick) -> dict[str, Score]:
    """Forget accuracy at each level, and the area under the front.

    Args:
        entries: one per seed.
    """
    fronts = fronts_of(entries, yardstick)
    if not fronts:
        return {}
    influence = np.array([front.area_influence for front in fronts])
    areas = np.array([front.area for front in fronts])
    found = {AREA: Score(areas, {FORGET: influence}, examples=influence.shape[1])}
    return found | {forget_at(level): forget_score(fronts, level / 100) for level in LEVELS}


def forget_score(fronts: Sequence[Front], level: float) -> Score:
    """Forget accuracy at a retention level between 0 and 1."""
    right: Floats = np.array([front.at(level).forget for front in fronts])
    return Score(right.mean(1), {FORGET: right}, examples=right.shape[1])


def footing_metrics(entry: Entry, yardstick: Yardstick) -> dict[str, float]:
    """One seed's scores, and beside each level what is kept there and if it was reached."""
    found = {metric: score.mean for metric, score in footing_scores([entry], yardstick).items()}
    for front in fronts_of([entry], yardstick):
        for level in LEVELS:
            at = front.at(level / 100)
            found[retained_at(level)] = float(at.retain.mean() / front.base.retain.mean())
            found[reached_at(level)] = at.reached
    return found
