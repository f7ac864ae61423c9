"""How many processes a run gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.conftest import invoke
from unlearnbench.config import build_config, dump_experiment
from unlearnbench.errors import UserError
from unlearnbench.grid import process_count
from unlearnbench.grid.process_count import Demand, Machine, count_processes
from unlearnbench.models.memory import GIB

QUICK = Demand(seconds=240.0, parts=42, threads=1, peak_bytes=GIB // 10, parameters=1_100_000)
PLENTY = Machine(cores=16, memory=128 * GIB, gpu_memory=None)
GPU = Machine(cores=16, memory=128 * GIB, gpu_memory=80 * GIB)


@pytest.mark.parametrize(
    ("demand", "machine", "expected"),
    [
        (QUICK, PLENTY, 12),  # twenty seconds of work each
        (replace(QUICK, seconds=1000.0), PLENTY, 16),
        (replace(QUICK, seconds=1000.0), replace(PLENTY, cores=2), 2),
        (replace(QUICK, seconds=1000.0, parts=3), PLENTY, 3),
        (replace(QUICK, seconds=25.0), PLENTY, 1),
        (replace(QUICK, seconds=1000.0), replace(PLENTY, memory=8 * GIB), 4),  # 1.6 GiB each, a fifth left free
        (replace(QUICK, seconds=1000.0), replace(PLENTY, memory=GIB), 1),
        (replace(QUICK, seconds=1e6, threads=8, peak_bytes=3 * GIB), PLENTY, 2),
        (replace(QUICK, seconds=1e6, threads=16, peak_bytes=90 * GIB), PLENTY, 1),
        (replace(QUICK, seconds=1e6, threads=16, peak_bytes=9 * GIB, parameters=135_000_000), GPU, 6),
        (replace(QUICK, seconds=1e6, threads=16, peak_bytes=9 * GIB, parameters=7_000_000_000), GPU, 1),
        (replace(QUICK, seconds=1e6, peak_bytes=GIB, parameters=135_000_000, spread=True), GPU, 1),
    ],
)
def test_auto_takes_what_cores_memory_and_work_bear(demand: Demand, machine: Machine, expected: int) -> None:
    assert count_processes("auto", demand, machine) == expected


def test_a_number_is_taken_as_it_is_but_for_processes_that_would_have_nothing_to_do() -> None:
    assert count_processes(4, QUICK, replace(PLENTY, cores=2, memory=GIB)) == 4
    assert count_processes(100, QUICK, PLENTY) == 42
    assert count_processes(3, replace(QUICK, parts=0), PLENTY) == 1


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "", "2 ", "true", "٣"])
@pytest.mark.parametrize("command", [["run"], ["study", "prompt-length"]])
def test_jobs_is_a_number_or_auto(command: list[str], value: str) -> None:
    error = invoke(*command, "--jobs", value).exception
    assert isinstance(error, UserError)
    number = value.lstrip("-").isascii() and value.lstrip("-").isdigit()
    shown = value if number else repr(value)
    assert str(error) == f"setting 'jobs' is {shown}: must be a whole number from 1, or auto."


@pytest.mark.parametrize("value", [0, True, 1.5, None, [2]])
def test_jobs_in_a_file_is_a_number_or_auto(value: object) -> None:
    with pytest.raises(UserError, match="setting 'jobs' is"):
        build_config({"jobs": value}, {})


def test_jobs_is_no_setting_of_the_experiment() -> None:
    assert build_config({}, {}).jobs == "auto"
    config = build_config({"jobs": 3}, {"tasks": ["sst2"]})
    assert config.jobs == 3
    assert build_config({"jobs": 3}, {"jobs": "auto"}).jobs == "auto"
    assert "jobs" not in yaml.safe_load(dump_experiment(config))


def test_plan_says_how_many_processes_share_it_and_whether_memory_may_be_short(
    data_folder: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["run", "--dry-run", "--quiet", "--tasks", f"path:{data_folder}", "--models", model_folder]
    arguments += ["--methods", "ga", "--results", tmp_path / "results"]
    assert "processes" not in invoke(*arguments).output, "so little work is not shared"
    assert ", shared by 3 processes with 1 thread each." in invoke(*arguments, "--jobs", 3).output
    monkeypatch.setattr(process_count, "this_machine", lambda config: Machine(cores=2, memory=2 * GIB, gpu_memory=None))
    told = "memory may be short: they need about 4.5 GiB; --jobs auto takes what fits"
    assert told in invoke(*arguments, "--jobs", 3).output
