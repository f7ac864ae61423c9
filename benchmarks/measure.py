"""Times and memory of two ways of doing the same, in turn."""

from __future__ import annotations

import gc
import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import published
from benchmarks.cases import Case, Settings, copy_prompt
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.soft_prompt import TrainablePrompt


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        precision: of matrix products, on both sides.
        rows: of a batch.
        ours, published: seconds of a batch; medians over repeats, means over batches.
        ratio: published / ours; `lowest` and `highest` are those of single batches.
        error_ours, error_published: relative error of the first batch's gradient against the published way in float32.
        memory_ours, memory_published: peak bytes beside weights and gradients in the first batch; None if not measured.
        roofline: share of the machine's best matrix-product rate in this precision that our step reaches; None if not
            counted.
    """

    name: str
    precision: str
    rows: int
    ours: float
    published: float
    ratio: float
    lowest: float
    highest: float
    error_ours: float | None = None
    error_published: float | None = None
    memory_ours: int | None = None
    memory_published: int | None = None
    roofline: float | None = None

    @property
    def memory_ratio(self) -> float | None:
        """Published / ours."""
        if self.memory_ours is None or self.memory_published is None:
            return None
        return self.memory_published / self.memory_ours


def compare(
    cases: Iterable[Case],
    precision: str,
    rows: int,
    repeats: int,
    rate: float,
    with_memory: bool,
    with_gradients: bool = True,
) -> Comparison:
    """Times both sides in turn; one case is one batch. Errors and memory are those of the first.

    Args:
        with_gradients: whether gradients are compared; else only losses are, for models of which memory does not hold
            several gradients.

    Raises:
        SystemExit: our loss or gradient is further from the published way's in float32 than its own precision explains.
    """
    batches: list[list[list[float]]] = []
    flops, name = 0.0, ""
    errors, memory = (None, None), (None, None)
    for case in cases:
        if not batches:
            errors = check_equal(case) if with_gradients else check_losses(case)
            if with_memory:
                memory = (_settled_peak(case, case.ours), _settled_peak(case, case.published))
        batches.append(timed_pairs(case, repeats))
        name, flops = case.name, flops + case.flops
        # Before the next one is made: memory may not hold the networks of both.
        case.clear()
        del case
        gc.collect()
    ours, theirs, ratio, lowest, highest = _ratios(batches)
    return Comparison(
        name,
        precision,
        rows,
        ours,
        theirs,
        ratio,
        lowest,
        highest,
        *errors,
        *memory,
        flops / ours / len(batches) / rate,
    )


def check_equal(case: Case) -> tuple[float, float]:
    """Relative gradient errors of both sides against the published way in float32.

    Raises:
        SystemExit: ours is more than one part in a thousand beyond 1.25 times the published way's.
    """
    case.clear()
    exact_loss, exact = case.exact(), case.published_gradient()
    case.clear()
    losses = case.ours(), case.published()
    ours, theirs = (float((g - exact).norm() / exact.norm()) for g in (case.our_gradient(), case.published_gradient()))
    allowed = (
        1.25 * abs(losses[1] - exact_loss) + 1e-3 * abs(exact_loss) + 1e-5 + (0.01 * abs(exact_loss) if theirs else 0)
    )
    if abs(losses[0] - exact_loss) > allowed or ours > 1.25 * theirs + 1e-3:
        raise SystemExit(
            f"{case.name}: the two sides differ: losses {losses}, {exact_loss} in float32; gradient errors {ours:.2g}, "
            f"{theirs:.2g}"
        )
    return ours, theirs


def check_losses(case: Case) -> tuple[None, None]:
    """Stands in for `check_equal`, of which it returns no errors.

    Raises:
        SystemExit: the two losses differ by more than a twentieth.
    """
    case.clear()
    ours = case.ours()
    case.clear()
    theirs = case.published()
    case.clear()
    if not abs(ours - theirs) <= 0.05 * abs(theirs) + 1e-3:
        raise SystemExit(f"{case.name}: the two sides differ: losses {ours} and {theirs}")
    return None, None


def synchronise(device: torch.device) -> None:
    """Waits until the device has computed all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has computed what `run` gives it."""
    synchronise(device)
    start = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - start


def timed_pairs(case: Case, repeats: int) -> list[list[float]]:
    """Seconds of ours and of the published way, in turn; on a GPU after a run of each that is not counted."""
    sides = (case.ours, case.published)
    if case.device.type == "cuda":
        # Its first run chooses kernels and takes memory from the driver.
        for side in sides:
            case.clear()
            side()
    pairs = []
    for _ in range(repeats):
        pair = []
        for side in sides:
            case.clear()
            pair.append(seconds_of(side, case.device))
        pairs.append(pair)
    return pairs


def compare_evaluation(
    settings: Settings, rows: list[Encoded], tokens: int, repeats: int, may_differ: float = 0.05
) -> Comparison:
    """Predictions behind a soft prompt; the published way in batches of 32.

    Args:
        may_differ: share of the tokens that may differ in low precision.

    Raises:
        SystemExit: the two sides predict different tokens (in float32: any; else: more than may differ).
    """
    network, plain = (settings.network(packed).requires_grad_(False) for packed in (True, False))
    prompt = TrainablePrompt(network, SoftPrompt(tokens, 128), torch.Generator().manual_seed(0))
    theirs = published.prompted(plain, tokens)
    copy_prompt(prompt, theirs)
    model = settings.model(network, prompt().detach())
    batches = [published.pad_rows(rows[start : start + 32], settings.device) for start in range(0, len(rows), 32)]
    mine, other = [0] * len(rows), [0] * len(rows)

    def ours() -> None:
        for indices, _, logits in model.predict(rows):
            for index, token in zip(indices, logits.argmax(-1).tolist(), strict=True):
                mine[index] = token

    def published_way() -> None:
        with settings.autocast():
            other[:] = published.evaluate(theirs, batches, tokens)

    device = torch.device(settings.device)
    if device.type == "cuda":
        ours()
        published_way()
    pairs = [[seconds_of(ours, device), seconds_of(published_way, device)] for _ in range(repeats)]
    differ = sum(a != b for a, b in zip(mine, other, strict=True))
    if differ > (0 if settings.dtype == torch.float32 else int(may_differ * len(rows))):
        raise SystemExit(f"evaluation: the two sides predict different tokens for {differ} of {len(rows)} rows")
    return Comparison(f"Evaluation, p = {tokens}", settings.precision, len(rows), *_ratios([pairs]))


def best_matmul_rate(dtype: torch.dtype) -> float:
    """Best measured floating-point operations per second of matrix products of the model's own shapes."""
    best = 0.0
    for rows, inner, columns in ((1024, 576, 1536), (2048, 1536, 576), (2048, 2048, 2048), (4096, 4096, 4096)):
        a, b = torch.randn(rows, inner, dtype=dtype), torch.randn(inner, columns, dtype=dtype)
        a @ b
        for _ in range(5):
            start = time.perf_counter()
            a @ b
            best = max(best, 2 * rows * inner * columns / (time.perf_counter() - start))
    return best


def _ratios(batches: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float, float, float, float]:
    """Seconds of ours and of the published way, their ratio, and the lowest and highest ratio of a batch."""
    medians = [[statistics.median(side) for side in zip(*pairs, strict=True)] for pairs in batches]
    ours, theirs = (sum(side) for side in zip(*medians, strict=True))
    ratios = [statistics.median(pair[1] / pair[0] for pair in pairs) for pairs in batches]
    return ours / len(batches), theirs / len(batches), theirs / ours, min(ratios), max(ratios)


class PeakBytes(TorchDispatchMode):
    """Counts the bytes of live tensors that operations inside the block have made.

    Attributes:
        peak: the most there were at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._live = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self._known | given and storage.nbytes():
                    self._known.add(storage.data_ptr())
                    self._live += storage.nbytes()
                    weakref.finalize(storage, self._freed, storage.data_ptr(), storage.nbytes())
        self.peak = max(self.peak, self._live)
        return result

    def _freed(self, pointer: int, size: int) -> None:
        self._known.discard(pointer)
        self._live -= size


def _settled_peak(case: Case, side: Callable[[], float]) -> int:
    case.clear()
    return peak_bytes(side, case.trained)


def peak_bytes(step: Callable[[], float], trained: Sequence[torch.Tensor]) -> int:
    """Most bytes that a step holds at once beside weights and their gradients."""
    for tensor in trained:
        if tensor.requires_grad:
            tensor.grad = torch.zeros_like(tensor)
    device = trained[0].device
    if device.type == "cuda":
        synchronise(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - before
    with PeakBytes() as counted:
        step()
    return counted.peak
