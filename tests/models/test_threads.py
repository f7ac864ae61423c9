"""How many threads compute, and how they wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import invoke
from unlearnbench.config import ModelConfig, build_config
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.models.threads import WAIT_SETTINGS, suitable_threads, threads_for, wait_setting
from unlearnbench.tracking.store import Store


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", *WAIT_SETTINGS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def model(model_folder: Path) -> ResolvedModel:
    return resolve(find_model(str(model_folder), {}))


@pytest.mark.parametrize(
    ("parameters", "available", "threads"),
    [(1_100_000, 16, 1), (134_515_008, 2, 2), (134_515_008, 16, 8), (134_515_008, 64, 8), (7_000_000_000, 64, 64)],
)
def test_threads_grow_with_the_model_up_to_the_cores(parameters: int, available: int, threads: int) -> None:
    assert suitable_threads(parameters, available) == threads


@pytest.mark.usefixtures("plain_environment")
@pytest.mark.parametrize(
    ("configured", "environment", "threads"),
    [(None, None, 1), (None, "3", 3), (None, "3,2", 3), (None, "many", 1), (None, "0", 1), (2, None, 2), (2, "3", 2)],
)
def test_settings_override_the_environment_which_overrides_the_rule(
    model: ResolvedModel,
    monkeypatch: pytest.MonkeyPatch,
    configured: int | None,
    environment: str | None,
    threads: int,
) -> None:
    if environment is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    assert threads_for(ModelConfig(threads=configured), model) == threads


def test_preset_quick_has_one_thread_on_every_machine(model: ResolvedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads_for(build_config({}, {"preset": "quick"}).model, model) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "OMP_WAIT_POLICY=passive"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY=active"),
        ({"GOMP_SPINCOUNT": "5"}, "GOMP_SPINCOUNT=5"),
        ({"KMP_BLOCKTIME": "0"}, "KMP_BLOCKTIME=0"),
    ],
)
def test_commands_wait_passively_unless_told_otherwise(given: dict[str, str], expected: str) -> None:
    """OpenMP's library reads the policy when it is loaded, so it must be set before torch is imported."""
    code = (
        "import sys; from unlearnbench.cli import main; from unlearnbench.models.threads import wait_setting\n"
        "sys.argv = ['unlearnbench', '--help']\n"
        "try: main()\n"
        "except SystemExit: print('torch' in sys.modules, wait_setting())"
    )
    environment = {name: value for name, value in os.environ.items() if name not in WAIT_SETTINGS} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"False {expected}"


def test_openmp_of_torch_honours_the_policy() -> None:
    """GNU's library prints the settings that it reads when it is loaded."""
    maps = Path("/proc/self/maps")
    if not maps.is_file() or "libgomp" not in maps.read_text(encoding="utf-8"):
        pytest.skip("torch uses another OpenMP library here")
    environment = {name: value for name, value in os.environ.items() if name not in WAIT_SETTINGS}
    code = "from unlearnbench.models.threads import wait_passively; wait_passively(); import torch"
    environment["OMP_DISPLAY_ENV"] = "verbose"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
    assert "GOMP_SPINCOUNT = '0'" in done.stderr


@pytest.mark.slow
def test_record_says_how_many_threads_computed_and_how_they_waited(
    model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    try:
        done = invoke(
            "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--methods", "ga", "--trials", 0,
            "--results", tmp_path / "results", "--set", "base.kind=lora", "--set", "base.epochs=1",
            "--set", "model.threads=2", "--quiet",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for run in Store(tmp_path / "results").finished_cells().values():
        assert run.data.tags["hardware.threads"] == "2"
        assert run.data.tags["hardware.openmp"] == wait_setting()


def test_threads_must_be_a_number_from_one(model_folder: Path) -> None:
    assert "model.threads" in str(invoke("run", "--set", "model.threads=0", "--dry-run").exception)
