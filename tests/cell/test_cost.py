"""What stages cost, each on its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

import unlearnbench.cell.cost
from unlearnbench.cell.cost import Cost, measured
from unlearnbench.cell.result import CellResult

MEBIBYTE = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no peak but the process's")
def test_peak_memory_is_that_of_the_stage() -> None:
    with measured() as large:
        held = bytearray(200 * MEBIBYTE)
        held[::4096] = b"x" * len(held[::4096])
        del held
    with measured() as small:
        time.sleep(0.01)
    assert large.peak_memory_bytes - small.peak_memory_bytes > 150 * MEBIBYTE
    assert small.peak_memory_bytes > MEBIBYTE
    assert small.wall_seconds >= 0.01


def test_peak_memory_is_known_on_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is neither /proc nor the module `resource`."""
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=123 * MEBIBYTE))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(unlearnbench.cell.cost, "PROCESS", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "resource", None)
    with measured() as found:
        pass
    assert found.peak_memory_bytes == 123 * MEBIBYTE


def test_costs_are_imported_without_resource() -> None:
    code = "import sys; sys.modules['resource'] = None; import unlearnbench.cell.cost"
    subprocess.run([sys.executable, "-c", code], check=True)


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
