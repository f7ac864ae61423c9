"""What a run will be able to show."""

from __future__ import annotations

import re

import pytest

from unlearnbench.leaderboard.promise import promise
from unlearnbench.leaderboard.statistics import detectable_difference


@pytest.mark.parametrize(("seeds", "said"), [(1, "One seed"), (2, "2 seeds")])
def test_few_seeds_will_show_no_difference(seeds: int, said: str) -> None:
    text = promise(seeds, 10_000, 6) or ""
    assert text.startswith(f"{said}: this run will be able to show no difference between methods; at least 3 seeds")


def test_several_seeds_have_a_smallest_difference() -> None:
    text = promise(5, 150, 3) or ""
    assert "5 seeds, 150 test examples, 3 methods" in text
    steady, usual = (int(number) for number in re.findall(r"at least (\d+) points", text))
    assert 0 < steady < usual
    assert usual == round(100 * (detectable_difference(5, 150, 3, 0.1) or 0))


def test_a_difference_may_be_out_of_reach() -> None:
    assert "not even then" in (promise(3, 20, 12) or "")


def test_one_method_is_compared_with_nothing() -> None:
    assert promise(3, 150, 1) is None
