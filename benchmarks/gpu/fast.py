"""Fast: our steps and evaluation against the published way, where the time goes, and which sizes of passes suit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, partial

import torch

from benchmarks.cases import Settings, Shape, make_rows
from benchmarks.gpu.agreement import PROMPT_TOKENS, make_case
from benchmarks.gpu.shapes import LLAMA_7B, batch, batch_rows, compared_shapes, row_lengths
from benchmarks.gpu.step import CannotDoError, Finding, Setup, Step
from benchmarks.measure import Comparison, compare, compare_evaluation, seconds_of
from benchmarks.profiles import write_profile
from unlearnbench.engine import packing
from unlearnbench.grid.estimate import matmul_rate

# How many times as fast as the published way.
GOALS = {"spul": 4.0, "npo-rt": 2.5, "evaluation": 4.0}
# How many times as much memory beside weights and gradients the published way takes, at least.
MEMORY_GOAL = 3.0
UTILISATION_GOAL = 0.45
SLOWER_THAN_BEST = 0.05
# Share of tokens that may differ where only time is measured: the largest logits of random weights are nearly tied.
NEARLY_TIED = 0.25
# Dense bfloat16 operations per second by NVIDIA's data sheets, by a part of the name that torch gives the card.
NOMINAL_RATES = {"H100 80GB HBM3": 989e12, "H200": 989e12, "A100": 312e12}
SPREADS = (1.05, 1.25, 1.5, 2.0, 4.0)
BUDGETS = (2048, 4096, 8192, 16_384, 32_768)


def steps(setup: Setup) -> Iterator[Step]:
    """Shape by shape."""
    for shape in compared_shapes(setup):
        for task in row_lengths(setup):
            for name, goal in GOALS.items():
                criterion = f"{goal:g} times as fast as the published way"
                if name != "evaluation":
                    criterion += ", with a third of its memory beside weights and gradients"
                    if shape == LLAMA_7B:
                        criterion += f"; model FLOP utilisation of {UTILISATION_GOAL:.0%}"
                run = partial(_evaluation if name == "evaluation" else partial(_step, name), setup, shape, task)
                yield Step("fast", f"{name}, {shape.name}, rows of {task}", criterion, run)
        for name in ("spul", "npo-rt"):
            yield Step("fast", f"profile of {name}, {shape.name}", "", partial(_profile, setup, shape, name))
    near = f"today's spread and tokens per pass are at most {SLOWER_THAN_BEST:.0%} slower than the best"
    for shape in compared_shapes(setup)[:2]:
        for task in row_lengths(setup):
            for name in GOALS:
                sweep = partial(_sweep, setup, shape, task, name)
                yield Step("fast", f"sweep of passes, {name}, {shape.name}, rows of {task}", near, sweep)


def settings_of(setup: Setup, shape: Shape, task: str, budget: int | None = None) -> Settings:
    """bfloat16; 7B in weights of bfloat16, and long rows of large models with gradient checkpointing, on both sides."""
    large = shape.hidden >= 2048
    return Settings(
        shape.layers,
        torch.bfloat16,
        budget,
        shape,
        setup.device,
        weights=torch.bfloat16 if shape == LLAMA_7B else torch.float32,
        checkpointing=large and task == "Yelp",
    )


def _step(name: str, setup: Setup, shape: Shape, task: str) -> Finding:
    settings = settings_of(setup, shape, task)
    line = _largest_batch(setup, lambda rows: _compared(setup, settings, name, task, rows))
    assert line.memory_ratio is not None
    utilisation = (line.roofline or 0.0) * _matmul_rate(setup.device) / peak_rate(setup.device)
    passed = line.ratio >= GOALS[name] and line.memory_ratio >= MEMORY_GOAL
    if shape == LLAMA_7B:
        passed = passed and utilisation >= UTILISATION_GOAL
    return Finding(passed, asdict(line) | {"memory ratio": line.memory_ratio, "utilisation": utilisation})


def _compared(setup: Setup, settings: Settings, name: str, task: str, rows: int) -> Comparison:
    batches = (
        make_case(name, settings, batch(settings, rows, row_lengths(setup)[task], number))
        for number in range(1 if setup.small else 3)
    )
    # Gradients of float32 weights can be checked against float32; several of a large model's do not fit beside it.
    exact = settings.weights == torch.float32 and not settings.checkpointing
    repeats = 3 if setup.on_gpu else 1
    rate = _matmul_rate(setup.device)
    return compare(batches, settings.precision, rows, repeats, rate, with_memory=True, with_gradients=exact)


def _largest_batch(setup: Setup, measure: Callable[[int], Comparison]) -> Comparison:
    """What is measured with a batch of rows that both sides have the memory for; the result says how many."""
    rows = batch_rows(setup)
    while rows >= 4:
        try:
            return measure(rows)
        except torch.OutOfMemoryError:
            rows //= 2
        torch.cuda.empty_cache()
    raise CannotDoError("memory does not hold both sides with a batch of four rows.")


def _evaluation(setup: Setup, shape: Shape, task: str) -> Finding:
    settings = settings_of(setup, shape, "SST-2")
    rows = make_rows(32 if setup.small else 256, row_lengths(setup)[task], 3, shape.vocabulary)
    repeats = 3 if setup.on_gpu else 1
    line = compare_evaluation(settings, rows, PROMPT_TOKENS, repeats, may_differ=NEARLY_TIED)
    return Finding(line.ratio >= GOALS["evaluation"], asdict(line))


@cache
def _matmul_rate(device: str) -> float:
    return matmul_rate(device, "bfloat16", torch.get_num_threads())


@cache
def peak_rate(device: str) -> float:
    """The card's nominal rate if it is known, else the rate of a large matrix product."""
    if torch.device(device).type == "cuda":
        name = torch.cuda.get_device_name(device)
        for part, rate in NOMINAL_RATES.items():
            if part in name:
                return rate
    return _matmul_rate(device)


def _profile(setup: Setup, shape: Shape, name: str) -> Finding:
    settings = settings_of(setup, shape, "SST-2")
    case = make_case(name, settings, batch(settings, batch_rows(setup), row_lengths(setup)["SST-2"]))
    file = setup.output / f"profile-{name}-{shape.name.replace(' ', '-')}.md"
    return Finding(None, asdict(write_profile(case, file)) | {"file": file.name})


def _sweep(setup: Setup, shape: Shape, task: str, name: str) -> Finding:
    """Seconds of our side for every spread and number of tokens per pass."""
    seconds: dict[tuple[float, int], float] = {}
    own = settings_of(setup, shape, task).tokens_per_pass
    present = packing.GPU_SPREAD if setup.on_gpu else packing.CPU_SPREAD
    budgets = (64, 128) if setup.small else BUDGETS
    spreads = (1.05, 1.5) if setup.small else SPREADS
    for budget in sorted({*budgets, own}):
        run = _ours(setup, settings_of(setup, shape, task, budget), task, name)
        for spread in sorted({*spreads, present}):
            with _spread(spread):
                run()
                repeats = 5 if setup.on_gpu else 1
                seconds[spread, budget] = min(seconds_of(run, torch.device(setup.device)) for _ in range(repeats))
    best = min(seconds, key=lambda pair: seconds[pair])
    slower = seconds[present, own] / seconds[best] - 1
    return Finding(
        slower <= SLOWER_THAN_BEST,
        {
            "best": {"spread": best[0], "tokens per pass": best[1]},
            "today's": {"spread": present, "tokens per pass": own, "slower than the best": slower},
            "seconds": {f"{spread}, {budget}": value for (spread, budget), value in seconds.items()},
        },
    )


def _ours(setup: Setup, settings: Settings, task: str, name: str) -> Callable[[], object]:
    """Our side's step or evaluation, to be run again and again."""
    lengths = row_lengths(setup)[task]
    if name != "evaluation":
        case = make_case(name, settings, batch(settings, batch_rows(setup), lengths))

        def step() -> None:
            case.clear()
            case.ours()

        return step
    network = settings.network().requires_grad_(False)
    prompt = torch.zeros(PROMPT_TOKENS, settings.shape.hidden, device=settings.device)
    rows = make_rows(16 if setup.small else 512, lengths, 3, settings.shape.vocabulary)
    return lambda: [logits.argmax(-1).tolist() for _, _, logits in settings.model(network, prompt).predict(rows)]


@contextmanager
def _spread(value: float) -> Iterator[None]:
    """Within the block rows of a rectangle may differ by that much."""
    before = packing.CPU_SPREAD, packing.GPU_SPREAD
    packing.CPU_SPREAD = packing.GPU_SPREAD = value
    try:
        yield
    finally:
        packing.CPU_SPREAD, packing.GPU_SPREAD = before
