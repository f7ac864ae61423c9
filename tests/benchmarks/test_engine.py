"""Our steps and the published way of computing them (PEFT's own forward pass among them) agree."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.cases import (
    SMOLLM2_135M,
    Case,
    Settings,
    base_case,
    evenly_up_to,
    make_rows,
    spul_case,
    sst2_lengths,
    weights_case,
)
from benchmarks.engine import Results, to_markdown
from benchmarks.growth import Point, draw
from benchmarks.measure import Comparison, PeakBytes, check_equal, compare, compare_evaluation
from benchmarks.profiles import write_profile

SMALL = replace(SMOLLM2_135M, vocabulary=500)


def make_case(name: str, dtype: torch.dtype = torch.float32) -> Case:
    settings = Settings(1, dtype, shape=SMALL)
    rows = [make_rows(count, evenly_up_to(12), count, SMALL.vocabulary) for count in (3, 4)]
    if name == "spul":
        return spul_case(settings, *rows, 4)
    if name in ("lora", "qlora"):
        return base_case(name, settings, *rows)  # type: ignore[arg-type]
    return weights_case(name, settings, *rows)


@pytest.mark.parametrize("name", ["spul", "ga-kl", "ga-gd", "npo-rt", "lora"])
def test_loss_and_gradient_are_the_published_ones(name: str) -> None:
    case = make_case(name)
    assert case.ours() == pytest.approx(case.published(), rel=1e-4)
    ours, published = case.our_gradient(), case.published_gradient()
    assert float((ours - published).norm() / published.norm()) < 1e-4


@pytest.mark.parametrize("name", ["spul", "ga-gd", "qlora"])
def test_in_low_precision_ours_is_as_near_to_float32_as_the_published_way(name: str) -> None:
    ours, published = check_equal(make_case(name, torch.bfloat16))
    assert 1e-4 < ours < 1.25 * published + 1e-3
    assert published < 0.2


def test_comparison_has_ratios_memory_and_roofline() -> None:
    line = compare([make_case("spul")], "float32", 7, repeats=1, rate=1e9, with_memory=True)
    assert line.ratio == pytest.approx(line.published / line.ours)
    assert line.memory_ratio is not None
    assert line.memory_ratio > 1
    assert line.roofline == pytest.approx(make_case("spul").flops / line.ours / 1e9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_evaluations_predict_the_same_tokens(dtype: torch.dtype) -> None:
    rows = make_rows(5, evenly_up_to(12), 3, SMALL.vocabulary)
    line = compare_evaluation(Settings(1, dtype, shape=SMALL), rows, tokens=4, repeats=1)
    assert (line.rows, line.ratio > 0) == (5, True)


def test_sides_that_differ_stop_the_benchmark() -> None:
    case = make_case("ga-gd")
    ours = case.ours
    case.ours = lambda: ours() + 1.0
    with pytest.raises(SystemExit, match="the two sides differ"):
        check_equal(case)


def test_run_that_was_stopped_goes_on_with_the_lines_it_lacks(tmp_path: Path) -> None:
    file, asked = tmp_path / "engine.json", []
    for conditions in ({"threads": 1}, {"threads": 1}, {"threads": 2}):
        value = Results(file, conditions).get("line", lambda: asked.append(1) or len(asked))
        assert value == len(asked)
    assert len(asked) == 2, "measured again only under other conditions"
    assert json.loads(file.read_text(encoding="utf-8")) == {"conditions": {"threads": 2}, "measured": {"line": 2}}


def test_table_has_a_line_for_each_precision() -> None:
    low = Comparison("SPUL step", "bfloat16", 32, 1.5, 6.0, 4.0, 3.5, 4.5, 0.015, 0.016, 2**20, 2**22, 0.16)
    whole = Comparison("Evaluation", "float32", 128, 2.0, 5.0, 2.5, 2.5, 2.5)
    text = to_markdown([low, whole], {"preset quick": 12.3}, "note")
    assert (
        "| SPUL step | 32 | bfloat16 | 1.50 | 6.00 | **4.00** (3.50 to 4.50) | 0.015 / 0.016 | 4.0 (1 MiB) | 16 % |"
        in text
    )
    assert "| Evaluation | 128 | float32 | 2.00 | 5.00 | **2.50** (2.50 to 2.50) |  |  |  |" in text
    assert "| preset quick | 12 |" in text


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
    points = [
        Point(grows, value, value / 2, value, 10.0 * value)
        for grows in ("virtual tokens", "batch, rows")
        for value in (1, 2)
    ]
    points += [Point("jobs", value, 1 / value, None, None) for value in (1, 2)]
    draw(points, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_profile_names_operations_and_their_shares(tmp_path: Path) -> None:
    write_profile(make_case("ga-gd"), tmp_path / "profile.md")
    text = (tmp_path / "profile.md").read_text(encoding="utf-8")
    assert text.startswith("GA+GD step, our side.")
    assert "| `aten::mm` |" in text


def test_batches_are_weighed_by_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = iter([[[1.0, 2.0], [1.0, 2.0]], [[3.0, 12.0], [3.0, 12.0]]])
    monkeypatch.setattr("benchmarks.measure.timed_pairs", lambda case, repeats: next(pairs))
    monkeypatch.setattr("benchmarks.measure.check_equal", lambda case: (0.0, 0.0))
    nothing = torch.zeros(1)
    cases = [Case("step", float, float, float, lambda: nothing, lambda: nothing, [], flops) for flops in (1e9, 3e9)]
    line = compare(cases, "float32", 7, repeats=2, rate=2e9, with_memory=False)
    assert (line.ratio, line.lowest, line.highest) == (14 / 4, 2, 4)
    assert (line.ours, line.published) == (2, 7)
    assert line.roofline == pytest.approx(4e9 / 4 / 2e9)


def test_docs_show_the_committed_tables() -> None:
    docs = Path(__file__).parents[2] / "docs"
    assert (docs / "benchmark" / "engine.md").read_text(encoding="utf-8").strip() in (docs / "engine.md").read_text(
        encoding="utf-8"
    )


def test_committed_tables_are_made_of_the_committed_numbers() -> None:
    folder = Path(__file__).parents[2] / "docs" / "benchmark"
    measured = json.loads((folder / "engine.json").read_text(encoding="utf-8"))["measured"]
    shown = (folder / "engine.md").read_text(encoding="utf-8").splitlines()
    lines = [value for value in measured.values() if isinstance(value, dict)]
    assert len(lines) == 26
    for line in lines:
        (found,) = [
            row for row in shown if row.startswith(f"| {line['name']} | {line['rows']} | {line['precision']} |")
        ]
        assert f"| {line['ours']:.2f} | {line['published']:.2f} | **{line['published'] / line['ours']:.2f}** (" in found
