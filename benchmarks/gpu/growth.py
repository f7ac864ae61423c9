"""Growth: seconds and memory of our steps against what makes them larger, and of runs in several processes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.cases import Shape
from benchmarks.gpu.agreement import PROMPT_TOKENS, make_case
from benchmarks.gpu.command import Command, one_task
from benchmarks.gpu.fast import settings_of
from benchmarks.gpu.shapes import batch, batch_rows, checked_shape, growing_shapes, row_lengths
from benchmarks.gpu.step import Finding, Setup, Step
from benchmarks.measure import peak_bytes, seconds_of

METHODS = ("spul", "npo-rt")


def steps(setup: Setup) -> Iterator[Step]:
    """One thing that grows after the other, all else as in the comparison."""
    shape, rows = checked_shape(setup), batch_rows(setup)
    many = (rows, 2 * rows) if setup.small else (8, 16, 32, 64, 128, 256)
    tokens = (10, 30) if setup.small else (10, 30, 50, 100)
    for name in METHODS:
        for larger in growing_shapes(setup):
            run = partial(_point, setup, name, larger, rows, PROMPT_TOKENS)
            yield Step("growth", f"{name}, weights, {larger.name}", "", run)
        for count in many:
            run = partial(_point, setup, name, shape, count, PROMPT_TOKENS)
            yield Step("growth", f"{name}, {count} rows", "", run)
    for p in tokens:
        yield Step("growth", f"spul, {p} virtual tokens", "", partial(_point, setup, "spul", shape, rows, p))
    for count in (1, 2) if setup.small else (1, 2, 4, 8):
        yield Step("growth", f"{count} processes", "", partial(_processes, setup, count))


def _point(setup: Setup, name: str, shape: Shape, rows: int, tokens: int) -> Finding:
    """Best of three runs of our step after one that is not counted; rows are as long as SST-2's."""
    settings = settings_of(setup, shape, "SST-2")
    case = make_case(name, settings, batch(settings, rows, row_lengths(setup)["SST-2"]), tokens)
    kept = peak_bytes(case.ours, case.trained)

    def step() -> None:
        case.clear()
        case.ours()

    seconds = min(seconds_of(step, case.device) for _ in range(3))
    return Finding(None, {"parameters": settings.parameters, "seconds": seconds, "bytes": kept})


def _processes(setup: Setup, count: int) -> Finding:
    """The same cells in so many processes that share the device."""
    arguments = one_task(setup) if setup.small else ("--preset", "quick", "--tasks", "all", "--methods", "all")
    command = Command(setup, f"jobs-{count}", (*arguments, "--jobs", str(count)), setup.device)
    command.anew()
    seconds = command.run()
    peaks = [entry.metrics.get("training_peak_memory_bytes", 0.0) for entry in command.entries().values()]
    return Finding(None, {"seconds": seconds, "largest peak of a training, bytes": max(peaks)})
