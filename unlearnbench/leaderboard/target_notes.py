"""What a table says about its target of forgetting."""

from __future__ import annotations

from unlearnbench.identity.ids import ZERO
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.yardstick import Yardstick

LEVELS = {"oracle": "the retrained model's", "chance": "that of a model that guesses"}


def target_notes(yardstick: Yardstick) -> list[str]:
    """Sentences on the target and on what the retrained model shows; none for target zero without one."""
    if yardstick.target == ZERO:
        return _suppression(yardstick) if yardstick.compared else []
    level = LEVELS[yardstick.target]
    told = [
        f"Target of forgetting: {yardstick.target}, a test forget accuracy like {level}. Trade-off: harmonic mean of "
        "1 - |forget - target| / |base - target| (at least 0) and of retain accuracy relative to the base model."
    ]
    if not yardstick.compared:
        told.append("The retrained model's result is not there, so trade-offs are left out: run with `--oracle`.")
    elif yardstick.nothing_to_forget:
        told.append(f"{_same(yardstick)} so it is not defined how far a method has forgotten: trade-offs are left out.")
    else:
        told.append(f"{level.capitalize()}: {percent(yardstick.mean_level)} %; the base model's: {_base(yardstick)}.")
        level_seeds = [seed for seed in yardstick.compared if yardstick.scale(seed) is None]
        if level_seeds:
            seeds = ", ".join(map(str, level_seeds))
            told.append(f"With seed {seeds} the base model is at the target itself: no trade-off for that seed.")
    return [*told, _OVER.format(level=level)]


_OVER = "Over-forgetting: by how much test forget accuracy is lower than {level}; it takes no part in marks."


def _suppression(yardstick: Yardstick) -> list[str]:
    told = [f"Target of forgetting: zero, that is suppression. {_OVER.format(level=LEVELS['oracle'])}"]
    if yardstick.nothing_to_forget:
        told.append(f"{_same(yardstick)} so forgetting here means suppressing what the model would know anyway.")
    return told


def _base(yardstick: Yardstick) -> str:
    return f"{percent(yardstick.mean_base)} %"


def _same(yardstick: Yardstick) -> str:
    """That the base model is no better than the target; needs a gap."""
    assert yardstick.gap is not None
    low, high = (percent(end) for end in yardstick.gap)
    who = "a model that guesses" if yardstick.target == "chance" else "a model that never saw them"
    return (
        f"The forget examples are answered as well by {who} ({percent(yardstick.mean_level)} %; base model "
        f"{_base(yardstick)}; difference {low} to {high}, 95 %),"
    )
