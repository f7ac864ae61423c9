"""Our steps and the published way of computing them (PEFT's own forward pass among them) agree."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch

from benchmarks.cases import Case, evenly_up_to, make_network, make_rows, spul_case, sst2_lengths, weights_case
from benchmarks.growth import Point, draw
from benchmarks.measure import PeakBytes, compare, compare_evaluation
from benchmarks.profiles import write_profile

FORGET, RETAIN = make_rows(3, evenly_up_to(12), seed=1), make_rows(4, evenly_up_to(12), seed=2)


def make_case(name: str) -> Case:
    network = make_network(layers=1)
    return spul_case(network, FORGET, RETAIN, 4) if name == "spul" else weights_case(name, network, FORGET, RETAIN)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spul", "ga-kl", "ga-gd", "npo-rt"])
def test_loss_and_gradient_are_the_published_ones(name: str) -> None:
    case = make_case(name)
    assert case.ours() == pytest.approx(case.published(), rel=1e-4)
    ours, published = case.gradients()
    assert float((ours - published).norm() / published.norm()) < 1e-4


@pytest.mark.slow
def test_comparison_has_ratios_and_memory() -> None:
    line = compare([make_case("spul")], repeats=1, rate=1e9)
    assert line.ratio == pytest.approx(line.published / line.ours)
    assert line.memory_ratio is not None
    assert line.memory_ratio > 1
    assert line.roofline is not None


def test_evaluations_predict_the_same_tokens() -> None:
    line = compare_evaluation(make_network(layers=1), make_rows(5, evenly_up_to(12), seed=3), tokens=4, repeats=1)
    assert line.ratio > 0


@pytest.mark.slow
def test_sides_that_differ_stop_the_benchmark() -> None:
    case = make_case("ga-gd")
    published = case.published
    case.published = lambda: published() + 1.0
    with pytest.raises(SystemExit, match="the two sides differ"):
        compare([case], repeats=1, rate=None)


def test_peak_counts_what_is_alive_at_once() -> None:
    with PeakBytes() as counted:
        first = torch.zeros(1000)
        second = first + 1
        view = second[:10]
        second.mul_(2)
        del first, second, view
        torch.zeros(1500)
    assert counted.peak == 2 * 4000


def test_rows_are_as_long_as_sst2s() -> None:
    sizes = [len(row.ids) for row in make_rows(2000, sst2_lengths, seed=0)]
    assert (min(sizes), max(sizes)) == (25, 82)
    assert statistics.fmean(sizes) == pytest.approx(35.3, abs=0.7)
    assert statistics.quantiles(sizes, n=4) == pytest.approx([28, 32, 40], abs=1)


def test_growth_is_drawn_with_a_panel_for_each_thing_that_grows(tmp_path: Path) -> None:
    points = [Point(grows, value, value / 2, value) for grows in ("virtual tokens", "batch, rows") for value in (1, 2)]
    draw(points, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_profile_names_operations_and_their_shares(tmp_path: Path) -> None:
    write_profile(make_case("ga-gd"), tmp_path / "profile.md")
    text = (tmp_path / "profile.md").read_text(encoding="utf-8")
    assert text.startswith("GA+GD step, our side.")
    assert "| `aten::mm` |" in text


@pytest.mark.slow
def test_batches_are_weighed_by_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = iter([[[1.0, 2.0], [1.0, 2.0]], [[3.0, 12.0], [3.0, 12.0]]])
    monkeypatch.setattr("benchmarks.measure.timed_pairs", lambda case, repeats: next(pairs))
    line = compare([make_case("ga-gd"), make_case("ga-gd")], repeats=2, rate=None)
    assert (line.ratio, line.lowest, line.highest) == (14 / 4, 2, 4)
    assert (line.ours, line.published) == (2, 7)
