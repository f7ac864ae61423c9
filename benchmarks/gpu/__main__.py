"""Measures on a GPU what docs/engine.md says about it ("On a GPU"): right, fast, real and growth.

    python -m benchmarks.gpu --output gpu --data-root DIR

A result that has been measured is not measured again: a run that was stopped goes on. What could not be done is
recorded with its reason, told at the end, and tried again by the next run. Exit code 0: everything is done and every
criterion met; 1: something is not; 2: there is no such device.

    python -m benchmarks.gpu --output try --device cpu --small

tests the command itself on a CPU; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from benchmarks.engine import Results
from benchmarks.gpu import agreement, fast, growth, memory, real, runs
from benchmarks.gpu.report import summary, to_markdown
from benchmarks.gpu.step import Setup, Step, do_steps
from unlearnbench.config import ModelConfig
from unlearnbench.errors import UserError
from unlearnbench.models.loading import pick_device

PARTS = {
    "right": (agreement.steps, memory.steps, runs.steps),
    "fast": (fast.steps,),
    "real": (real.steps,),
    "growth": (growth.steps,),
}


def steps_of(setup: Setup, parts: list[str]) -> list[Step]:
    """The steps of some parts, in the order in which they are done."""
    return [step for part in PARTS if part in parts for make in PARTS[part] for step in make(setup)]


def conditions(setup: Setup) -> dict[str, object]:
    """What results depend on; results of other conditions are measured again."""
    name = torch.cuda.get_device_name(setup.device) if setup.on_gpu else "cpu"
    return {"device": name, "small": setup.small, "torch": torch.__version__, "cuda": torch.version.cuda}


def forget_missed(results: Results, steps: list[Step]) -> None:
    """Lets steps be done again whose criterion was not met."""
    for step in steps:
        measured = results.measured.get(step.key)
        if measured and measured["passed"] is False:
            results.forget(step.key)


def main(arguments: list[str] | None = None) -> int:
    """Does what the output folder lacks; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("benchmark-gpu"), help="folder of results, tables and runs")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--small", action="store_true", help="sizes that a CPU bears: a test of this command")
    parser.add_argument("--data-root", type=Path, help="folder of real data sets in hub layout, for part real")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--again", action="store_true", help="measure again what did not meet its criterion")
    given = parser.parse_args(arguments)
    try:
        device = pick_device(ModelConfig(device=given.device))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if device.type == "cuda":
        torch.cuda.set_device(device)
    given.output.mkdir(parents=True, exist_ok=True)
    setup = Setup(given.device, given.small, given.output.resolve(), given.data_root and given.data_root.resolve())
    results = Results(given.output / "gpu.json", conditions(setup))
    steps = steps_of(setup, given.parts)
    if given.again:
        forget_missed(results, steps)
    found = do_steps(steps, results, setup.device)
    note = ", ".join(f"{key} {value}" for key, value in conditions(setup).items())
    (given.output / "gpu.md").write_text(to_markdown(steps, found, results.not_done, note), encoding="utf-8")
    print(summary(steps, found, results.not_done), flush=True)
    done = len(found) == len(steps) and all(finding.passed is not False for finding in found.values())
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
