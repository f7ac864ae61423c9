"""What a run will be able to show, said before it starts."""

from __future__ import annotations

from unlearnbench.leaderboard.statistics import FEWEST_SEEDS, detectable_difference

# Standard deviations between seeds: of methods that train steadily, and a usual one.
SPREADS = (0.03, 0.1)


def promise(seeds: int, examples: int, methods: int) -> str | None:
    """Which differences in accuracy between methods a run will find; None if it compares none.

    Args:
        examples: of its smallest test split.
    """
    if methods < 2:
        return None
    if seeds < FEWEST_SEEDS:
        said = "One seed" if seeds == 1 else f"{seeds} seeds"
        return (
            f"{said}: this run will be able to show no difference between methods; at least {FEWEST_SEEDS} seeds "
            "(--seeds 0,1,2) are needed."
        )
    found = [_points(detectable_difference(seeds, examples, methods, spread)) for spread in SPREADS]
    return (
        f"{seeds} seeds, {examples} test examples, {methods} methods: a difference in accuracy will be found four "
        f"times in five if it is {found[0]} (if seeds scatter by {100 * SPREADS[0]:.0f} points) or {found[1]} (by "
        f"{100 * SPREADS[1]:.0f} points)."
    )


def _points(size: float | None) -> str:
    return "as large as can be, or not even then" if size is None else f"at least {100 * size:.0f} points"
