"""How seconds and memory grow with prompt, rows, set, model, threads and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.cases import Lengths, Settings, evenly_up_to, make_rows, spul_case, sst2_lengths
from benchmarks.measure import compare_evaluation, peak_bytes, timed_pairs
from benchmarks.whole import cost_of_preset_quick
from unlearnbench.models.threads import cores

BATCH = 32
# Random weights often leave two tokens nearly equal, and a small set has few rows; the table checks a larger one.
MAY_DIFFER = 0.1


@dataclass(frozen=True)
class Point:
    """What one value of what grows costs.

    Attributes:
        ours, published: seconds; `published` is None if only our side was run.
        memory: MiB; of a step beside weights and gradients, of a run those of all its processes; None if not measured.
    """

    grows: str
    value: int
    ours: float
    published: float | None
    memory: float | None


def measure_growth(settings: Settings, tokens: int) -> list[Point]:
    """One measurement at each value; all else as in the table."""

    def step(
        p: int = tokens, lengths: Lengths = sst2_lengths, batch: int = BATCH, layers: int = settings.layers
    ) -> tuple[float, float, float]:
        rows = make_rows(batch, lengths, 1)
        case = spul_case(replace(settings, layers=layers), rows[: batch // 2], rows[batch // 2 :], p)
        ((ours, published),) = timed_pairs(case, 1)
        case.clear()
        return ours, published, peak_bytes(case.ours, case.trained) / 2**20

    def evaluation(size: int) -> tuple[float, float, None]:
        found = compare_evaluation(settings, make_rows(size, sst2_lengths, 3), tokens, 1, MAY_DIFFER)
        return found.ours, found.published, None

    def with_threads(count: int) -> tuple[float, float, float]:
        with _threads(count):
            return step()

    def with_jobs(count: int) -> tuple[float, None, float]:
        seconds, memory = cost_of_preset_quick(count)
        return seconds, None, memory

    counts = sorted({1, *(2**power for power in range(1, 8) if 2**power <= cores()), cores()})
    runs: dict[str, tuple[Sequence[int], Callable[[int], tuple[float, float | None, float | None]]]] = {
        "virtual tokens": ((10, 30, 50), lambda p: step(p=p)),
        "longest row, tokens": ((32, 64, 128), lambda longest: step(lengths=evenly_up_to(longest))),
        "batch, rows": ((8, 16, 32), lambda batch: step(batch=batch)),
        "layers": ((6, 12, 30), lambda layers: step(layers=layers)),
        "threads": (counts, with_threads),
        "evaluated set, rows": ((64, 128, 256), evaluation),
        "jobs": (counts, with_jobs),
    }
    points = []
    for grows, (values, run) in runs.items():
        for value in values:
            points.append(Point(grows, value, *run(value)))
            print(points[-1], flush=True)
    return points


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def draw(points: Sequence[Point], file: Path) -> None:
    """One panel for each thing that grows: seconds on the left, MiB on the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = list(dict.fromkeys(point.grows for point in points))
    columns = (len(panels) + 1) // 2
    figure, axes = pyplot.subplots(2, columns, figsize=(3.8 * columns, 6.4), layout="constrained")
    for grows, axis in zip(panels, axes.flat, strict=False):
        mine = [point for point in points if point.grows == grows]
        values = [point.value for point in mine]
        if all(point.published is not None for point in mine):
            axis.plot(values, [point.published for point in mine], "s--", color="#D55E00", label="published way, s")
        axis.plot(values, [point.ours for point in mine], "o-", color="#0072B2", label="unlearnbench, s")
        axis.set(xlabel=grows, ylabel="seconds", xticks=values)
        axis.margins(y=0.1)
        axis.set_ylim(0, None)
        if all(point.memory is not None for point in mine):
            memory = axis.twinx()
            memory.plot(values, [point.memory for point in mine], "^:", color="#777777", label="unlearnbench, MiB")
            memory.set_ylabel("MiB", color="#777777")
            memory.margins(y=0.25)
            memory.set_ylim(0, None)
            memory.tick_params(colors="#777777")
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    lines = [line for axis in figure.axes for line in axis.get_lines()]
    named = {str(line.get_label()): line for line in lines}
    figure.legend(named.values(), named.keys(), loc="outside lower right", ncols=3, frameon=False)
    figure.savefig(file, dpi=100)
    pyplot.close(figure)
