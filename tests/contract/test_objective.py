"""What counts as forgotten, against closed forms."""

from __future__ import annotations

import pytest

from unlearnbench.contract.objective import SUPPRESSION, ForgetScale, forget_scale, over_forgetting, trade_off


@pytest.mark.parametrize(
    ("forget", "forgotten"),
    [(0.6, 1.0), (0.8, 0.5), (0.4, 0.5), (1.0, 0.0), (0.2, 0.0), (0.0, 0.0), (0.65, 0.875), (0.55, 0.875)],
)
def test_distance_to_the_target_counts_on_both_sides(forget: float, forgotten: float) -> None:
    scale = forget_scale(level=0.6, base_forget_accuracy=1.0)
    assert scale is not None
    assert scale.forgotten(forget) == pytest.approx(forgotten)


def test_target_above_the_base_model_counts_alike() -> None:
    """As by chance, if a base model answers worse than one that guesses."""
    scale = forget_scale(level=0.5, base_forget_accuracy=0.3)
    assert scale is not None
    assert [scale.forgotten(one) for one in (0.3, 0.4, 0.5, 0.6, 0.7, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0, 0])


def test_a_base_model_at_the_target_has_nothing_to_forget() -> None:
    assert forget_scale(0.94, 0.94) is None


def test_trade_off_of_target_zero_is_what_it_was() -> None:
    for forget in (0.0, 0.03, 0.5, 1.0):
        for retain in (0.0, 0.4, 0.9, 1.0):
            forgotten, kept = 1 - forget, min(1.0, retain / 0.9)
            mean = 2 * forgotten * kept / (forgotten + kept) if forgotten + kept else 0.0
            assert trade_off(forget, retain, 0.9) == mean
            assert trade_off(forget, retain, 0.9, SUPPRESSION) == mean


def test_trade_off_takes_the_harmonic_mean_on_any_scale() -> None:
    scale = ForgetScale(target=0.8, distance=0.2)
    assert trade_off(0.9, 0.9, 0.9, scale) == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert trade_off(0.8, 0.45, 0.9, scale) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert trade_off(0.0, 0.9, 0.9, scale) == 0, "far below the target is not forgotten either"


def test_over_forgetting_is_what_lies_below_the_level() -> None:
    assert [over_forgetting(one, 0.9) for one in (1.0, 0.9, 0.5, 0.0)] == pytest.approx([0, 0, 0.4, 0.9])
