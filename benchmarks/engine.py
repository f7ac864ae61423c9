"""Times our step, evaluation and memory against the published way, side by side in one process.

    python -m benchmarks.engine --output docs/benchmark

Same weights, rows and precision on both sides; the two are timed in turn, over several batches.
Both sides' loss and gradient must agree, or the program stops. The model has SmolLM2-135M's shape and random weights;
rows are as long as SST-2's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.cases import make_network, make_rows, spul_case, sst2_lengths, weights_case
from benchmarks.growth import draw, measure_growth
from benchmarks.measure import Comparison, best_matmul_rate, compare, compare_evaluation
from benchmarks.profiles import write_profile


def to_markdown(lines: Sequence[Comparison], note: str) -> str:
    """The table."""
    rows = [
        "| | ours, s | published, s | published / ours (per batch) | peak memory, published / ours | of roofline |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for line in lines:
        memory = f"{line.memory_ratio:.1f} ({line.memory_ours / 2**20:.0f} MiB)" if line.memory_ours else ""
        roofline = f"{100 * line.roofline:.0f} %" if line.roofline else ""
        ratio = f"**{line.ratio:.2f}** ({line.lowest:.2f} to {line.highest:.2f})"
        rows.append(f"| {line.name} | {line.ours:.2f} | {line.published:.2f} | {ratio} | {memory} | {roofline} |")
    return "\n".join([note, "", *rows, ""])


def main() -> None:
    """Runs everything and writes table, numbers, profiles and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmark"), help="folder for table, numbers and plot")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--prompt-tokens", type=int, default=30)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens-per-pass", type=int, default=None, help="of our side; default: the engine's own")
    parser.add_argument("--no-growth", action="store_true", help="leave the growth curves and the plot out")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    network = make_network(given.layers)
    rate, budget = best_matmul_rate(), given.tokens_per_pass
    half = given.batch // 2
    batches = [
        (make_rows(half, sst2_lengths, 2 * number + 1), make_rows(given.batch - half, sst2_lengths, 2 * number + 2))
        for number in range(given.batches)
    ]
    lines = []
    for make in (
        lambda forget, retain: spul_case(network, forget, retain, given.prompt_tokens, budget),
        lambda forget, retain: weights_case("npo-rt", network, forget, retain, budget),
        lambda forget, retain: weights_case("ga-kl", network, forget, retain, budget),
        lambda forget, retain: weights_case("ga-gd", network, forget, retain, budget),
    ):
        lines.append(compare((make(*batch) for batch in batches), given.repeats, rate))
        print(lines[-1], flush=True)
        case = make(*batches[0])
        write_profile(case, given.output / f"profile-{case.name.split()[0].lower().replace('+', '-')}.md")
    lines.append(compare_evaluation(network, make_rows(128, sst2_lengths, 3), given.prompt_tokens, given.repeats))
    longest = sum(max(len(row.ids) for rows in batch for row in rows) for batch in batches) / len(batches)
    note = (
        f"SmolLM2-135M's shape ({given.layers} layers), {given.batches} batches of {given.batch} rows as long as "
        f"SST-2's (on average their longest row has {longest:.0f} tokens), float32, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}; best matrix product {rate / 1e9:.0f} GFLOP/s; pairs a batch: {given.repeats}."
    )
    (given.output / "engine.md").write_text(to_markdown(lines, note), encoding="utf-8")
    (given.output / "engine.json").write_text(json.dumps([asdict(line) for line in lines], indent=1), encoding="utf-8")
    print(to_markdown(lines, note), flush=True)
    if not given.no_growth:
        points = measure_growth(network, given.prompt_tokens)
        (given.output / "growth.json").write_text(json.dumps([asdict(p) for p in points], indent=1), encoding="utf-8")
        draw(points, given.output / "growth.png")


if __name__ == "__main__":
    main()
