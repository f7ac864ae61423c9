"""Right: whole runs of the command line on the device, against a CPU's, killed, and with every way to save memory."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations

from benchmarks.gpu.command import SMALLER, Command, one_task
from benchmarks.gpu.step import CannotDoError, Finding, Setup, Step
from unlearnbench.contract.objective import trade_off
from unlearnbench.contract.rows import BASE, REFERENCE_ROWS
from unlearnbench.leaderboard.entry import Entry

# Two methods whose trade-offs on the CPU are nearer than this may change places: accumulated rounding moves single
# values of preset quick by several points (docs/running.md, threads).
APART = 0.1
# Retain accuracy with a setting that saves memory is that without it, give or take this.
NEAR = 0.1
# Moments of the kill, as shares of the time of a run that is not killed.
KILLED_AFTER = (0.6, 0.8, 0.45)
# What saves memory, with the method that it concerns.
SAVERS = {
    "model.frozen_4bit=true": "spul",
    "model.optimiser=adamw-8bit": "ga-gd",
    "model.optimiser=paged-adamw-8bit": "ga-gd",
    "model.gradient_checkpointing=true": "ga-gd",
    "model.device_map=auto": "ga-gd",
}
Entries = Mapping[tuple[str, str, int | None], Entry]


def steps(setup: Setup) -> Iterator[Step]:
    """Runs of preset quick."""
    yield Step(
        "right",
        "rankings of preset quick",
        f"methods whose trade-off on the CPU is {APART:.0%} apart are in the CPU's order in every task",
        partial(_same_rankings, setup),
    )
    yield Step(
        "right",
        "a killed run",
        "the same command ends well, has every cell, and leaves those alone that were finished",
        partial(_continues, setup),
    )
    for setting, method in SAVERS.items():
        yield Step(
            "right",
            f"{method} with {setting}",
            f"ends well, and its retain accuracy is within {NEAR:.0%} of a run's without it",
            partial(_saves, setup, setting, method),
        )


def trade_offs(entries: Entries) -> dict[str, dict[str, float]]:
    """Each method's trade-off on the test splits, by task."""
    found: dict[str, dict[str, float]] = {}
    for (task, row, seed), entry in entries.items():
        if row not in REFERENCE_ROWS:
            base = entries[task, BASE, seed].metrics["test_retain_accuracy"]
            forget, retain = (entry.metrics[f"test_{split}_accuracy"] for split in ("forget", "retain"))
            found.setdefault(task, {})[row] = trade_off(forget, retain, base)
    return found


def swapped(expected: Mapping[str, Mapping[str, float]], found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Pairs of methods that are clearly apart in `expected` and in the other order in `found`."""
    return [
        f"{task}: {first} and {second}"
        for task, methods in expected.items()
        for first, second in combinations(sorted(methods), 2)
        if abs(methods[first] - methods[second]) >= APART
        and (methods[first] - methods[second]) * (found[task][first] - found[task][second]) <= 0
    ]


def _same_rankings(setup: Setup) -> Finding:
    arguments = one_task(setup) if setup.small else ("--preset", "quick", "--tasks", "all", "--methods", "all")
    sides = [Command(setup, f"rankings-{name}", arguments, device) for name, device in
             (("cpu", "cpu"), ("device", setup.device))]  # fmt: skip
    seconds = {}
    for side in sides:
        side.anew()
        seconds[side.name] = side.run()
    cpu, device = (trade_offs(side.entries()) for side in sides)
    differences = [abs(cpu[task][row] - device[task][row]) for task in cpu for row in cpu[task]]
    wrong = swapped(cpu, device)
    return Finding(
        not wrong,
        {"swapped": wrong, "largest difference": max(differences), "seconds": seconds, "cpu": cpu, "device": device},
    )


def _continues(setup: Setup) -> Finding:
    arguments = (*one_task(setup), "--set", "checkpoint_seconds=0", "--jobs", "1")
    whole = Command(setup, "unbroken", arguments, setup.device)
    whole.anew()
    seconds = whole.run()
    broken = Command(setup, "killed", arguments, setup.device)
    for share in KILLED_AFTER:
        broken.anew()
        before = _killed(broken, share * seconds)
        if before is not None:
            break
    else:
        raise CannotDoError(f"the run ended before it was killed, {len(KILLED_AFTER)} times.")
    broken.run()
    expected, found = whole.entries(), broken.entries()
    untouched = all(found[key].recorded == entry.recorded for key, entry in before.items())
    metric = "test_retain_accuracy"
    moved = max(abs(found[key].metrics[metric] - expected[key].metrics[metric]) for key in expected.keys() & found)
    return Finding(
        found.keys() == expected.keys() and untouched,
        {"finished before": len(before), "cells": len(found), "largest difference": moved, "seconds": seconds},
    )


def _killed(command: Command, seconds: float) -> Entries | None:
    """The cells that were finished when the run was killed after so many seconds; None if it ended before."""
    process = command.start()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return command.entries()
    return None


def _saves(setup: Setup, setting: str, method: str) -> Finding:
    common = ("--preset", "quick", "--tasks", "sst2", "--methods", method, "--trials", "1")
    common += SMALLER if setup.small else ()
    plain = Command(setup, f"plain-{method}", common, setup.device, cache="savers")
    name = setting.partition(".")[2].replace("=", "-")
    saving = Command(setup, f"saving-{name}", (*common, "--set", setting), setup.device, cache="savers")
    if not any(row == method for _, row, _ in plain.entries()):
        plain.run()
    saving.anew()
    saving.run()
    metrics = [
        next(entry.metrics for (_, row, _), entry in command.entries().items() if row == method)
        for command in (plain, saving)
    ]
    plainly, saved = (each["test_retain_accuracy"] for each in metrics)
    peaks = [each["training_peak_memory_bytes"] for each in metrics]
    return Finding(abs(plainly - saved) <= NEAR, {"retain accuracy": [plainly, saved], "peak memory": peaks})
