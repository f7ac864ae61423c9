"""The first trials: the defaults, then points that fill the space evenly, or independent draws."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import qmc

from unlearnbench.api import Choice, LogUniform
from unlearnbench.cell.design import first_values
from unlearnbench.config import Design

RATE = LogUniform(1e-5, 1e-1, default=1e-5)
SPUL: dict[str, Choice[Any] | LogUniform] = {
    "learning_rate": RATE,
    "prompt_tokens": Choice((10, 20, 30, 40, 50), default=30),
    "alpha": Choice((0.1, 0.5, 1.0), default=1.0),
    "beta": Choice((0.0, 0.1, 0.5, 1.0), default=1.0),
}


def defaults(space: dict[str, Choice[Any] | LogUniform]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in space.items()}


def share(rate: float) -> float:
    """Where in the (logarithm of the) range a learning rate lies."""
    return math.log(rate / 1e-5) / math.log(1e4)


def van_der_corput(number: int) -> float:
    """The number's binary digits behind the point, in reverse order."""
    return sum(int(digit) / 2 ** (place + 1) for place, digit in enumerate(reversed(f"{number:b}")))


@pytest.mark.parametrize("trials", [2, 4, 8])
def test_learning_rates_divide_the_range_evenly(trials: int) -> None:
    space: dict[str, Choice[Any] | LogUniform] = {"learning_rate": RATE}
    first, *others = (values["learning_rate"] for values in first_values("spread", space, defaults(space), trials, 0))
    assert first == 1e-5
    expected = sorted(van_der_corput(number) for number in range(1, trials))
    assert sorted(map(share, others)) == pytest.approx(expected, abs=1e-6)


def test_points_beside_the_defaults_are_left_out() -> None:
    centre = LogUniform(1e-5, 1e-1, default=1.1e-3)
    found = first_values("spread", {"learning_rate": centre}, {"learning_rate": 1.1e-3}, 3, 0)
    assert [share(values["learning_rate"]) for values in found[1:]] == pytest.approx([0.75, 0.25])


def test_lists_are_covered_before_anything_is_repeated() -> None:
    space: dict[str, Choice[Any] | LogUniform] = {"alpha": Choice(("a", "b", "c", "d"), default="b")}
    found = [values["alpha"] for values in first_values("spread", space, defaults(space), 9, 0)]
    assert found[0] == "b"
    assert set(found[:4]) == {"a", "b", "c", "d"}
    assert len(found) == 9


def test_every_value_of_a_space_of_four_is_spread_on_its_own() -> None:
    found = first_values("spread", SPUL, defaults(SPUL), 10, 0)[1:]
    quarters = Counter(int(4 * share(values["learning_rate"])) for values in found)
    assert set(quarters) == {0, 1, 2, 3}
    assert max(quarters.values()) <= 4
    for name in ("prompt_tokens", "alpha", "beta"):
        parameter = SPUL[name]
        assert isinstance(parameter, Choice)
        times = Counter(values[name] for values in found)
        assert set(times) == set(parameter.choices)
        assert max(times.values()) <= len(found) // len(parameter.choices) + 2


def test_spread_leaves_smaller_gaps_than_chance() -> None:
    """By the centred L2 discrepancy of nine points in four dimensions, against a hundred random draws."""
    space: dict[str, Choice[Any] | LogUniform] = dict.fromkeys("abcd", RATE)

    def discrepancy(design: Design, seed: int) -> float:
        found = first_values(design, space, defaults(space), 10, seed)[1:]
        return float(qmc.discrepancy(np.array([[share(values[name]) for name in space] for values in found])))

    drawn = sorted(discrepancy("random", seed) for seed in range(100))
    assert discrepancy("spread", 0) < drawn[5]


def test_spread_is_the_same_for_every_seed_and_random_is_not() -> None:
    for design, same in (("spread", True), ("random", False)):
        one, other = (first_values(design, SPUL, defaults(SPUL), 10, seed) for seed in (0, 1))  # type: ignore[arg-type]
        assert one[0] == other[0] == defaults(SPUL)
        assert (one[1:] == other[1:]) == same


@pytest.mark.parametrize("design", ["spread", "random"])
def test_without_a_budget_or_a_space_the_defaults_are_all(design: Design) -> None:
    assert first_values(design, SPUL, defaults(SPUL), 0, 3) == [defaults(SPUL)]
    assert first_values(design, SPUL, defaults(SPUL), 1, 3) == [defaults(SPUL)]
    assert first_values(design, {}, {}, 12, 3) == [{}]
    assert len(first_values(design, SPUL, defaults(SPUL), 40, 3)) == 10
