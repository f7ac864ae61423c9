"""What stages cost, each on its own."""

from __future__ import annotations

import ast
import sys
import time
from pathlib import Path

import pytest

import unlearnbench.cell.cost
from unlearnbench.cell.cost import Cost, measured
from unlearnbench.cell.result import CellResult

MEBIBYTE = 2**20
ROOT = Path(__file__).parents[2]
SOURCES = ("unlearnbench", "methods", "metrics", "tasks", "pretraining", "benchmarks", "docs", "examples", "tests")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no peak that can be reset")


def allocate_and_measure() -> tuple[Cost, Cost]:
    """Costs of a stage that holds 200 MiB for a moment, and of one that holds nothing."""
    with measured() as large:
        held = bytearray(200 * MEBIBYTE)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(0.2)
        del held
    with measured() as small:
        time.sleep(0.01)
    return large, small


@pytest.mark.parametrize("kept", [pytest.param(True, marks=on_linux), False])
def test_peak_memory_is_that_of_the_stage(kept: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Linux keeps a peak that can be reset; other systems have no such files and are asked again and again."""
    if not kept:
        monkeypatch.setattr(unlearnbench.cell.cost, "PROCESS", tmp_path / "none")
    large, small = allocate_and_measure()
    assert large.peak_memory_bytes - small.peak_memory_bytes > 150 * MEBIBYTE
    assert small.peak_memory_bytes > MEBIBYTE
    assert small.wall_seconds >= 0.01


@on_linux
def test_samples_and_the_kernel_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept, _ = allocate_and_measure()
    monkeypatch.setattr(unlearnbench.cell.cost, "PROCESS", tmp_path / "none")
    sampled, _ = allocate_and_measure()
    assert sampled.peak_memory_bytes == pytest.approx(kept.peak_memory_bytes, rel=0.1)


def test_no_module_imports_resource() -> None:
    """Windows has no such module."""
    sources = [file for folder in SOURCES for file in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 200
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert "resource" not in names, source


def test_every_stage_is_recorded_on_its_own() -> None:
    base, tuning, training = (Cost(seconds, 0.0, peak) for seconds, peak in ((1.0, 70), (2.0, 50), (3.0, 30)))
    evaluation = Cost(4.0, 0.0, 40)
    found = CellResult({}, {}, evaluation, base_cost=base, tuning_cost=tuning, training_cost=training).metrics
    stages = {"base": base, "tuning": tuning, "training": training, "evaluation": evaluation}
    for stage, cost in stages.items():
        assert found[f"{stage}_peak_memory_bytes"] == cost.peak_memory_bytes
        assert found[f"{stage}_wall_seconds"] == cost.wall_seconds
    assert "peak_memory_bytes" not in found
    vanilla = CellResult({}, {}, evaluation).metrics
    assert {name for name in vanilla if name.endswith("_bytes")} == {"evaluation_peak_memory_bytes"}
