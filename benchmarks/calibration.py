"""Simulates what the leaderboard's intervals and tests hold, against a known truth, with the package's own functions.

    python -m benchmarks.calibration --output docs/benchmark

Coverage of the 95 % intervals, how often one of six equal methods is called worse than the best, how often `compare`
finds something worse in two runs of the same thing, and the smallest difference that is found with 80 %.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time

import numpy as np

from benchmarks.simulation import Seeds, accuracies, results, true_trade_off
from unlearnbench.leaderboard.standings import pairs_over, standings
from unlearnbench.leaderboard.statistics import (
    FEWEST_SEEDS,
    Estimate,
    Score,
    detectable_difference,
    difference,
    differs,
    interval,
    surely_below_zero,
)

METHODS = 6
# Forget and retain accuracy by their standard deviation between seeds.
KINDS = {spread: (Seeds(0.4, float(spread)), Seeds(0.65, float(spread))) for spread in ("0", "0.03", "0.1", "0.3")} | {
    "0.1, near 0 or 100": (Seeds(0.08, 0.1), Seeds(0.92, 0.1)),
    "rare collapses": (Seeds(0.1, 0.03), Seeds(0.9, 0.03, collapse=0.15)),
}
PLAIN = ("0", "0.03", "0.1")
TASKS = 3
SEEDS = (1, 3, 5, 10)
EXAMPLES = (150, 600)
LOWER_IS_BETTER = ("forget",)


@dataclass(frozen=True)
class Result:
    """One number of the simulation, in percent (or None where the rules claim nothing).

    Attributes:
        what: coverage, false positives, or power (the smallest difference found with 80 %).
        spread: standard deviation between seeds, a key of `KINDS`.
    """

    what: str
    metric: str
    spread: str
    seeds: int
    examples: int
    percent: float | None
    runs: int


def calibrate(runs: int, generator: np.random.Generator) -> Iterator[Result]:
    """All numbers, one by one."""
    for examples in EXAMPLES:
        for seeds in SEEDS:
            for spread in KINDS:
                yield from _coverage(spread, seeds, examples, 2 * runs, generator)
                if seeds >= FEWEST_SEEDS:
                    yield from _false_positives(spread, seeds, examples, runs, generator)
                if seeds >= FEWEST_SEEDS and examples == EXAMPLES[0] and spread in PLAIN:
                    yield from _over_tasks(spread, seeds, examples, runs // 2, generator)
    for spread in ("0.03", "0.1"):
        for seeds in SEEDS:
            for examples in EXAMPLES:
                smallest = _smallest_found(float(spread), seeds, examples, runs, generator)
                yield Result("power", "accuracy", spread, seeds, examples, smallest, runs)
                planned = detectable_difference(seeds, examples, METHODS, float(spread))
                shown = None if planned is None else 100 * planned
                yield Result("planned power", "accuracy", spread, seeds, examples, shown, 0)


def _coverage(spread: str, seeds: int, examples: int, runs: int, generator: np.random.Generator) -> Iterator[Result]:
    forget, retain = KINDS[spread]
    truth = {"retain": retain.expected, "trade-off": true_trade_off(forget, retain)}
    hits = dict.fromkeys(truth, 0)
    for _ in range(runs):
        (scores,) = results([(forget, retain)], seeds, examples, generator).values()
        for metric, value in truth.items():
            low, high = interval(scores[metric])
            hits[metric] += low <= value <= high
    for metric, hit in hits.items():
        yield Result("coverage", metric, spread, seeds, examples, 100 * hit / runs, runs)


def _false_positives(
    spread: str, seeds: int, examples: int, runs: int, generator: np.random.Generator
) -> Iterator[Result]:
    hits = {"retain": 0, "trade-off": 0, "compare": 0}
    for _ in range(runs):
        # Two runs of six methods, all alike, on the same examples.
        both = results([KINDS[spread]] * (2 * METHODS), seeds, examples, generator)
        first, second = ([both[str(number + side * METHODS)] for number in range(METHODS)] for side in (0, 1))
        for metric in ("retain", "trade-off"):
            hits[metric] += _any_called_worse([scores[metric] for scores in first])
        hits["compare"] += bool(surely_below_zero(_losses(first, second)))
    for metric, hit in hits.items():
        yield Result("false positives", metric, spread, seeds, examples, 100 * hit / runs, runs)


def _any_called_worse(scores: list[Score]) -> bool:
    best = max(scores, key=lambda score: score.mean)
    return any(_differ(best, score, len(scores)) for score in scores if score is not best)


def _differ(first: Score, second: Score, methods: int) -> bool:
    found = difference(first, second)
    return found is not None and differs(found, methods)


def _losses(first: list[dict[str, Score]], second: list[dict[str, Score]]) -> dict[str, Estimate]:
    """Differences of all metrics of all methods, negative where the second is worse."""
    losses = {}
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        for metric in one:
            sides = (one, other) if metric in LOWER_IS_BETTER else (other, one)
            found = difference(sides[0][metric], sides[1][metric])
            if found is not None:
                losses[f"{number} {metric}"] = found
    return losses


def _over_tasks(spread: str, seeds: int, examples: int, runs: int, generator: np.random.Generator) -> Iterator[Result]:
    """Methods on several tasks: intervals of the mean rank where all differ, and claims where all are equal."""
    steps = [Seeds(0.3 + 0.08 * number, KINDS[spread][1].spread) for number in range(METHODS)]
    covered = claimed = 0
    for _ in range(runs):
        apart = standings([accuracies(steps, seeds, examples, generator) for _ in range(TASKS)])
        covered += sum(one.ranks[0] <= METHODS - int(one.name) <= one.ranks[1] for one in apart)
        equal = pairs_over([accuracies([KINDS[spread][1]] * METHODS, seeds, examples, generator) for _ in range(TASKS)])
        claimed += any(pair.significant for pair in equal)
    yield Result("coverage", "mean rank", spread, seeds, examples, 100 * covered / (runs * METHODS), runs)
    yield Result("false positives", "over tasks", spread, seeds, examples, 100 * claimed / runs, runs)


def _smallest_found(
    spread: float, seeds: int, examples: int, runs: int, generator: np.random.Generator
) -> float | None:
    """The smallest difference between two of six methods that is found with 80 %, to half a point, by bisection."""
    if seeds < FEWEST_SEEDS:
        return None

    def power(size: float) -> float:
        hits = 0
        for _ in range(runs):
            pair = [Seeds(0.5 + size / 2, spread), Seeds(0.5 - size / 2, spread)]
            first, second = accuracies(pair, seeds, examples, generator).values()
            hits += first.mean > second.mean and _differ(first, second, METHODS)
        return hits / runs

    # A mean so near to 0 or 1 has no such scatter.
    low, high = 0.0, 1 - 2 * spread**2 / 0.25 - 0.02
    if power(high) < 0.8:
        return None
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= 0.8 else (middle, high)
    return 100 * (low + high) / 2


def to_markdown(found: list[Result], note: str) -> str:
    """One table: a line per kind of number and scatter between seeds, a column per number of seeds and examples."""
    columns = [(seeds, examples) for seeds in SEEDS for examples in EXAMPLES]
    heads = [f"{seeds} seed{'s' if seeds > 1 else ''}, {examples}" for seeds, examples in columns]
    lines = [f"| | sd between seeds | {' | '.join(heads)} |", "| --- | ---: |" + " ---: |" * len(columns)]
    known = {(one.what, one.metric, one.spread, one.seeds, one.examples): one.percent for one in found}
    for what, metric, spread in dict.fromkeys((one.what, one.metric, one.spread) for one in _ordered(found)):
        values = [known.get((what, metric, spread, *column)) for column in columns]
        texts = [("none" if "power" in what else "-") if value is None else f"{value:.0f}" for value in values]
        lines.append(f"| {TITLES[what, metric]} | {spread} | {' | '.join(texts)} |")
    return "\n".join([*lines, "", note, ""])


TITLES = {
    ("coverage", "retain"): "coverage of the 95 % interval, accuracy, %",
    ("coverage", "trade-off"): "coverage of the 95 % interval, trade-off, %",
    ("false positives", "retain"): "one of six equal methods called worse, accuracy, %",
    ("false positives", "trade-off"): "one of six equal methods called worse, trade-off, %",
    ("coverage", "mean rank"): "coverage of the interval of the mean rank over three tasks, %",
    ("false positives", "over tasks"): "any two of six equal methods told apart over three tasks, %",
    ("false positives", "compare"): "`compare --fail-if-worse` fails on equals, six methods, %",
    ("power", "accuracy"): "smallest difference found with 80 %, points of accuracy",
    ("planned power", "accuracy"): "the same as the plan of a run estimates it",
}


def _ordered(found: list[Result]) -> list[Result]:
    order = list(TITLES)
    return sorted(found, key=lambda one: order.index((one.what, one.metric)))


def main() -> None:
    """Simulates, and writes calibration.json and calibration.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmark"), help="folder for table and numbers")
    parser.add_argument("--runs", type=int, default=500, help="simulated comparisons for each number")
    given = parser.parse_args()
    begun = process_time()
    found = []
    for one in calibrate(given.runs, np.random.default_rng(2026)):
        print(one, flush=True)
        found.append(one)
    error = 100 * math.sqrt(0.05 * 0.95 / given.runs)
    note = (
        f"{given.runs} simulated comparisons for each number (twice as many for coverage, half for several tasks), so "
        f"that 5 % is known to ± {error:.1f} points. On average forget accuracy is 40, retain accuracy 65, that of the "
        "base model 90; near 0 or 100: 8 and 92; rare collapses: 10 and 90, but retain accuracy is 0 with 15 % of the "
        "seeds. Columns: seeds, and test examples per split. With one seed intervals know of examples only, and with "
        f"fewer than {FEWEST_SEEDS} nothing is claimed between methods."
    )
    given.output.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps([asdict(one) for one in found], indent=1)
    (given.output / "calibration.json").write_text(numbers + "\n", encoding="utf-8")
    (given.output / "calibration.md").write_text(to_markdown(found, note), encoding="utf-8")
    print(to_markdown(found, note))
    print(f"{process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main()
