"""Right: losses, gradients and predictions on the device against plain transformers and against a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Literal

import torch

from benchmarks.cases import Case, Settings, base_case, make_rows, spul_case, weights_case
from benchmarks.gpu.shapes import batch, batch_rows, checked_shape, row_lengths
from benchmarks.gpu.step import Finding, Setup, Step
from benchmarks.measure import check_equal, compare_evaluation
from unlearnbench.contract.method import Method
from unlearnbench.engine.probe import enable_packing
from unlearnbench.plugins import registry
from unlearnbench.testing.rig import Rig

DTYPES = (torch.float32, torch.bfloat16)
PROMPT_TOKENS = 30
EVALUATED = 256
# Of a method's gradient against the CPU's in float32: relative error in float32, 1 - cosine in bfloat16.
LARGEST_ERROR = {torch.float32: 1e-3, torch.bfloat16: 0.02}
LARGEST_LOSS_ERROR = {torch.float32: 1e-4, torch.bfloat16: 0.05}
CASES = ("spul", "npo-rt", "ga-kl", "ga-gd", "lora", "qlora")
SAME_GRADIENT = (
    "loss and gradient no further from plain transformers' in float32 than 1.25 times what plain transformers in the "
    "same precision is, and one part in a thousand"
)


def steps(setup: Setup) -> Iterator[Step]:
    """Each precision, kind of step and method."""
    for dtype in DTYPES:
        precision = str(dtype).removeprefix("torch.")
        for name in CASES:
            yield Step("right", f"{name} step, {precision}", SAME_GRADIENT, partial(_agrees, setup, name, dtype))
        yield Step(
            "right",
            f"evaluation, {precision}",
            "the tokens that plain transformers predicts (in bfloat16 19 of 20)",
            partial(_evaluates, setup, dtype),
        )
        for name in registry().methods:
            yield Step(
                "right",
                f"method {name} on a tiny model, {precision}",
                "loss and gradient of a CPU in float32: within 1e-4 and 1e-3, in bfloat16 5 % and a cosine of 0.98",
                partial(_method_agrees, setup.device, registry().method(name).item(), dtype),
            )
    for name in ("spul", "npo-rt"):
        run = partial(_agrees, setup, name, torch.float32, checkpointing=True)
        yield Step("right", f"{name} step, gradient checkpointing", SAME_GRADIENT, run)


def make_case(name: str, settings: Settings, rows: tuple[list, list], tokens: int = PROMPT_TOKENS) -> Case:  # type: ignore[type-arg]
    """The case of that name."""
    if name == "spul":
        return spul_case(settings, *rows, tokens)
    if name in ("lora", "qlora"):
        kind: Literal["lora", "qlora"] = "lora" if name == "lora" else "qlora"
        return base_case(kind, settings, *rows)
    return weights_case(name, settings, *rows)


def _agrees(setup: Setup, name: str, dtype: torch.dtype, checkpointing: bool = False) -> Finding:
    shape = checked_shape(setup)
    settings = Settings(shape.layers, dtype, shape=shape, device=setup.device, checkpointing=checkpointing)
    case = make_case(name, settings, batch(settings, batch_rows(setup), row_lengths(setup)["SST-2"]))
    return _judged(lambda: dict(zip(("error", "published error"), check_equal(case), strict=True)))


def _evaluates(setup: Setup, dtype: torch.dtype) -> Finding:
    shape = checked_shape(setup)
    settings = Settings(shape.layers, dtype, shape=shape, device=setup.device)
    rows = make_rows(32 if setup.small else EVALUATED, row_lengths(setup)["SST-2"], 3, shape.vocabulary)
    return _judged(lambda: {"rows": compare_evaluation(settings, rows, PROMPT_TOKENS, 1).rows})


def _judged(measure: Callable[[], dict[str, float]]) -> Finding:
    """A comparison that stops the program if the sides differ, as a finding."""
    try:
        return Finding(True, measure())
    except SystemExit as difference:
        return Finding(False, {"difference": str(difference)})


def _method_agrees(device: str, method: Method, dtype: torch.dtype) -> Finding:
    """The method's step on packed rows on the device against padded rows in float32 on a CPU."""
    plain, moved = Rig(method), Rig(method)
    expected_loss, expected = plain.gradients(plain.everything)
    moved.network.to(device)  # type: ignore[arg-type]
    if moved.prompt is not None:
        moved.prompt.to(device)
    packed = enable_packing(moved.network)
    moved.step = replace(moved.step, model=replace(moved.step.model, compute_dtype=dtype))
    loss, gradient = moved.gradients(moved.everything)
    gradient = gradient.float().cpu()
    loss_error = abs(loss - expected_loss) / max(abs(expected_loss), 1e-6)
    if dtype == torch.float32:
        error = float((gradient - expected).norm() / expected.norm())
    else:
        error = 1 - float(torch.nn.functional.cosine_similarity(gradient, expected, dim=0))
    passed = packed and error <= LARGEST_ERROR[dtype] and loss_error <= LARGEST_LOSS_ERROR[dtype]
    return Finding(passed, {"loss error": loss_error, "gradient error": error, "packed": packed})
