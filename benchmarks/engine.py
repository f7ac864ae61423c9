"""Times our steps, evaluation and memory against the published way, side by side in one process.

    python -m benchmarks.engine --output docs/benchmark

Same weights, rows and precision on both sides; the two are timed in turn, over several batches. Every line is measured
in float32 and in the precision that `model.compute_dtype: auto` takes on this machine. Both sides' loss and gradient
must agree as far as the precision allows, or the program stops. The model has SmolLM2-135M's shape and random weights;
rows are as long as SST-2's. A run that was stopped goes on with the lines that it lacks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import Make, Settings, base_case, make_rows, spul_case, sst2_lengths, weights_case
from benchmarks.growth import Point, draw, measure_growth
from benchmarks.measure import Comparison, best_matmul_rate, compare, compare_evaluation
from benchmarks.profiles import write_profile
from benchmarks.whole import seconds_of_a_small_cell, seconds_of_preset_quick
from unlearnbench.config import ModelConfig
from unlearnbench.errors import first_line
from unlearnbench.models.loading import compute_dtype
from unlearnbench.storage.whole import write_whole

EVALUATED = 128


def to_markdown(lines: Sequence[Comparison], wholes: dict[str, float], note: str) -> str:
    """The tables."""
    rows = [
        "| | rows | precision | ours, s | published, s | published / ours (per batch) "
        "| gradient error, ours / published | peak memory, published / ours | of roofline |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for line in lines:
        memory = f"{line.memory_ratio:.1f} ({line.memory_ours / 2**20:.0f} MiB)" if line.memory_ours else ""
        roofline = f"{100 * line.roofline:.0f} %" if line.roofline else ""
        ratio = f"**{line.ratio:.2f}** ({line.lowest:.2f} to {line.highest:.2f})"
        errors = "" if line.error_ours is None else f"{line.error_ours:.2g} / {line.error_published:.2g}"
        rows.append(
            f"| {line.name} | {line.rows} | {line.precision} | {line.ours:.2f} | {line.published:.2f} | {ratio} "
            f"| {errors} | {memory} | {roofline} |"
        )
    whole = ["| from weights to result | seconds |", "|---|---:|"]
    whole += [f"| {name} | {seconds:.0f} |" for name, seconds in wholes.items()]
    return "\n".join([note, "", *rows, "", *(whole if wholes else []), ""])


class Results:
    """What has been measured, in a file that is written after every line.

    Attributes:
        measured: values by key.
        not_done: reasons by key of what `attempt` could not measure.
    """

    def __init__(self, file: Path, conditions: dict[str, Any]) -> None:
        self._file = file
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        same = isinstance(found, dict) and found.get("conditions") == conditions
        self._conditions = conditions
        self.measured: dict[str, Any] = found["measured"] if same else {}
        self.not_done: dict[str, str] = found.get("not done", {}) if same else {}

    def get(self, key: str, measure: Callable[[], Any]) -> Any:
        """What was measured under `key`, or is now; plain JSON values."""
        if key not in self.measured:
            self.measured[key] = measure()
            self.not_done.pop(key, None)
            self._write()
            print(key, self.measured[key], flush=True)
        return self.measured[key]

    def attempt(self, key: str, measure: Callable[[], Any]) -> Any | None:
        """As `get`; None if `measure` raises, which is noted with its reason and tried again the next time."""
        if key not in self.measured:
            self._note(key, "the process ended while this was measured")
            try:
                return self.get(key, measure)
            except (Exception, SystemExit) as error:
                self._note(key, f"{type(error).__name__}: {first_line(error)}")
                print(f"not done: {key}: {self.not_done[key]}", flush=True)
                return None
        return self.measured[key]

    def forget(self, key: str) -> None:
        """Lets what was measured under `key` be measured again."""
        self.measured.pop(key, None)

    def _note(self, key: str, reason: str) -> None:
        self.not_done[key] = reason
        self._write()

    def _write(self) -> None:
        kept = {"not done": self.not_done} if self.not_done else {}
        found = {"conditions": self._conditions, "measured": self.measured, **kept}
        write_whole({self._file: json.dumps(found, indent=1)})


def main() -> None:
    """Runs everything that the output folder lacks, and writes tables, numbers, profiles and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmark"), help="folder for tables, numbers and plot")
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 8], help="rows of a batch")
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--prompt-tokens", type=int, default=30)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=1, help="pairs of runs a batch")
    parser.add_argument("--tokens-per-pass", type=int, default=None, help="of our side; default: the engine's own")
    parser.add_argument("--no-growth", action="store_true", help="leave the growth curves and the plot out")
    parser.add_argument("--no-whole", action="store_true", help="leave out the small cell and preset quick")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    default = compute_dtype(ModelConfig(device="cpu"), torch.device("cpu"))
    dtypes = list(dict.fromkeys([default, torch.float32]))
    conditions = {key: value for key, value in vars(given).items() if key in ("batches", "layers", "repeats")}
    conditions |= {"prompt_tokens": given.prompt_tokens, "tokens_per_pass": given.tokens_per_pass}
    conditions |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    results = Results(given.output / "engine.json", conditions)

    @cache
    def rate(dtype: torch.dtype) -> float:
        return float(results.get(f"matrix products, {dtype}", lambda: best_matmul_rate(dtype)))

    makes: dict[str, Make] = {"spul": lambda *a: spul_case(*a, given.prompt_tokens)}
    for name in ("npo-rt", "ga-kl", "ga-gd"):
        makes[name] = lambda *a, name=name: weights_case(name, *a)
    makes |= {"lora": lambda *a: base_case("lora", *a), "qlora": lambda *a: base_case("qlora", *a)}
    lines = []
    for dtype in dtypes:
        settings = Settings(given.layers, dtype, given.tokens_per_pass)
        for count in given.rows:
            for name, make in makes.items():

                def measure(make: Make = make, count: int = count, settings: Settings = settings) -> dict[str, Any]:
                    batches = (make(settings, *_batch(count, number)) for number in range(given.batches))
                    with_memory = count == max(given.rows)
                    return asdict(
                        compare(batches, settings.precision, count, given.repeats, rate(settings.dtype), with_memory)
                    )

                lines.append(Comparison(**results.get(f"{name}, {count} rows, {settings.precision}", measure)))
        evaluated = results.get(
            f"evaluation, {settings.precision}",
            lambda settings=settings: asdict(
                compare_evaluation(settings, make_rows(EVALUATED, sst2_lengths, 3), given.prompt_tokens, given.repeats)
            ),
        )
        lines.append(Comparison(**evaluated))
    for name in ("spul", "npo-rt", "ga-kl", "ga-gd"):
        case = makes[name](Settings(given.layers, default, given.tokens_per_pass), *_batch(max(given.rows), 0))
        write_profile(case, given.output / f"profile-{name}.md")
    wholes: dict[str, Callable[[], float]] = {
        f"SPUL on SmolLM2-135M (preset small, one trial, its base model too), {label}": partial(
            seconds_of_a_small_cell, label
        )
        for label in (str(dtype).removeprefix("torch.") for dtype in dtypes)
    }
    wholes["preset quick, one task and one method"] = seconds_of_preset_quick
    if not given.no_whole:
        for key, measure_whole in wholes.items():
            results.get(key, measure_whole)
    rates = ", ".join(f"{rate(dtype) / 1e9:.0f} GFLOP/s in {str(dtype).removeprefix('torch.')}" for dtype in dtypes)
    note = (
        f"SmolLM2-135M's shape ({given.layers} layers), {given.batches} batches of rows as long as SST-2's, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; best matrix product {rates}; pairs a batch: "
        f"{given.repeats}. Gradient errors are those of the first batch against the published way in float32."
    )
    tables = to_markdown(lines, {key: results.measured[key] for key in wholes if key in results.measured}, note)
    (given.output / "engine.md").write_text(tables, encoding="utf-8")
    print(tables, flush=True)
    if not given.no_growth:
        settings = Settings(given.layers, default, given.tokens_per_pass)
        found = results.get(
            "growth", lambda: [asdict(point) for point in measure_growth(settings, given.prompt_tokens)]
        )
        draw([Point(**point) for point in found], given.output / "growth.png")


def _batch(count: int, number: int) -> tuple[list[Any], list[Any]]:
    """Forget and retain rows of a batch."""
    half = count // 2
    return make_rows(half, sst2_lengths, 2 * number + 1), make_rows(count - half, sst2_lengths, 2 * number + 2)


if __name__ == "__main__":
    main()
