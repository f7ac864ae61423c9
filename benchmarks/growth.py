"""How the time of a SPUL step grows with prompt, row length and batch, and that of an evaluation with the set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Lengths, Settings, evenly_up_to, make_rows, spul_case, sst2_lengths
from benchmarks.measure import compare_evaluation, timed_pairs

BATCH = 32


@dataclass(frozen=True)
class Point:
    """Seconds of both sides at one value of what grows."""

    grows: str
    value: int
    ours: float
    published: float


def measure_growth(settings: Settings, tokens: int) -> list[Point]:
    """One pair of runs at each value; all else as in the table."""

    def step(p: int = tokens, lengths: Lengths = sst2_lengths, batch: int = BATCH) -> Sequence[float]:
        rows = make_rows(batch, lengths, 1)
        (pair,) = timed_pairs(spul_case(settings, rows[: batch // 2], rows[batch // 2 :], p), 1)
        return pair

    def evaluation(size: int) -> Sequence[float]:
        found = compare_evaluation(settings, make_rows(size, sst2_lengths, 3), tokens, 1)
        return found.ours, found.published

    runs: dict[str, tuple[Sequence[int], Callable[[int], Sequence[float]]]] = {
        "virtual tokens": ((10, 30, 50), lambda p: step(p=p)),
        "longest row, tokens": ((32, 64, 128), lambda longest: step(lengths=evenly_up_to(longest))),
        "batch, rows": ((8, 16, 32), lambda batch: step(batch=batch)),
        "evaluated set, rows": ((64, 128, 256), evaluation),
    }
    points = []
    for grows, (values, run) in runs.items():
        for value in values:
            ours, published = run(value)
            points.append(Point(grows, value, ours, published))
            print(points[-1], flush=True)
    return points


def draw(points: Sequence[Point], file: Path) -> None:
    """One panel for each thing that grows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = list(dict.fromkeys(point.grows for point in points))
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.4 * len(panels), 3.2), layout="constrained")
    for grows, axis in zip(panels, axes, strict=True):
        mine = [point for point in points if point.grows == grows]
        values = [point.value for point in mine]
        axis.plot(values, [p.published for p in mine], "s--", color="#D55E00", label="published way")
        axis.plot(values, [p.ours for p in mine], "o-", color="#0072B2", label="unlearnbench")
        axis.set(xlabel=grows, ylim=(0, None), xticks=values)
    axes[0].set_ylabel("seconds (SPUL step; right: evaluation)")
    axes[0].legend(frameon=False)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
