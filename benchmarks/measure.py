"""Times and memory of two ways of doing the same, in turn."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import LlamaForCausalLM

from benchmarks import published
from benchmarks.cases import Case, copy_prompt
from unlearnbench.engine.encoding import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.soft_prompt import TrainablePrompt
from unlearnbench.method import SoftPrompt


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        ours, published: seconds of a batch; medians over repeats, means over batches.
        ratio: published / ours; `lowest` and `highest` are those of single batches.
        memory_ours, memory_published: peak bytes beside weights and gradients, of the batch that takes most; None where
            not measured.
        roofline: share of the machine's best matrix-product rate that our step reaches; None where not counted.
    """

    name: str
    ours: float
    published: float
    ratio: float
    lowest: float
    highest: float
    memory_ours: int | None = None
    memory_published: int | None = None
    roofline: float | None = None

    @property
    def memory_ratio(self) -> float | None:
        """Published / ours."""
        if self.memory_ours is None or self.memory_published is None:
            return None
        return self.memory_published / self.memory_ours


def compare(cases: Iterable[Case], repeats: int, rate: float | None) -> Comparison:
    """Checks that both sides agree on every batch, then times them in turn; one case is one batch.

    Raises:
        SystemExit: loss or gradient differ by more than one part in a thousand.
    """
    batches, memory, flops, name = [], [], 0.0, ""
    for case in cases:
        memory.append([_settled_peak(case, case.ours), _settled_peak(case, case.published)])
        check_equal(case)
        batches.append(timed_pairs(case, repeats))
        name, flops = case.name, flops + (case.flops or 0.0)
    return _comparison(name, batches, [max(side) for side in zip(*memory, strict=True)], flops, rate)


def check_equal(case: Case) -> None:
    """Stops the program where the two sides' loss or gradient differ."""
    case.clear()
    losses = case.ours(), case.published()
    ours, theirs = case.gradients()
    error = float((ours - theirs).norm() / theirs.norm())
    if abs(losses[0] - losses[1]) > 1e-3 * abs(losses[1]) + 1e-5 or error > 1e-3:
        raise SystemExit(f"{case.name}: the two sides differ: losses {losses}, gradient error {error:.2g}")


def timed_pairs(case: Case, repeats: int) -> list[list[float]]:
    """Seconds of ours and of the published way, in turn."""
    pairs = []
    for _ in range(repeats):
        pair = []
        for function in (case.ours, case.published):
            case.clear()
            start = time.perf_counter()
            function()
            pair.append(time.perf_counter() - start)
        pairs.append(pair)
    return pairs


def compare_evaluation(network: LlamaForCausalLM, rows: list[Encoded], tokens: int, repeats: int) -> Comparison:
    """Predictions behind a soft prompt, batches of 32."""
    network.requires_grad_(False)
    prompt = TrainablePrompt(network, SoftPrompt(tokens, 128), torch.Generator().manual_seed(0))
    theirs = published.prompted(network, tokens)
    copy_prompt(prompt, theirs)
    model = LanguageModel(network, pad=0, prompt=prompt().detach())
    batches = [published.pad_rows(rows[start : start + 32]) for start in range(0, len(rows), 32)]
    pairs = []
    for _ in range(repeats):
        start = time.perf_counter()
        mine = [0] * len(rows)
        for indices, _, logits in model.predict(rows):
            for index, token in zip(indices, logits.argmax(-1).tolist(), strict=True):
                mine[index] = token
        middle = time.perf_counter()
        other = published.evaluate(theirs, batches, tokens)
        pairs.append([middle - start, time.perf_counter() - middle])
    if mine != other:
        raise SystemExit("evaluation: the two sides predict different tokens")
    return _comparison(f"Evaluation, p = {tokens}, {len(rows)} rows", [pairs], [None, None], None, None)


def best_matmul_rate() -> float:
    """Best measured floating-point operations per second of float32 matrix products of the model's own shapes."""
    best = 0.0
    for rows, inner, columns in ((1024, 576, 1536), (2048, 1536, 576), (2048, 2048, 2048), (4096, 4096, 4096)):
        a, b = torch.randn(rows, inner), torch.randn(inner, columns)
        a @ b
        for _ in range(5):
            start = time.perf_counter()
            a @ b
            best = max(best, 2 * rows * inner * columns / (time.perf_counter() - start))
    return best


def _comparison(
    name: str,
    batches: Sequence[Sequence[Sequence[float]]],
    memory: Sequence[int | None],
    flops: float | None,
    rate: float | None,
) -> Comparison:
    medians = [[statistics.median(side) for side in zip(*pairs, strict=True)] for pairs in batches]
    ours, theirs = (sum(side) for side in zip(*medians, strict=True))
    ratios = [statistics.median(pair[1] / pair[0] for pair in pairs) for pairs in batches]
    return Comparison(
        name,
        ours / len(batches),
        theirs / len(batches),
        theirs / ours,
        min(ratios),
        max(ratios),
        memory[0],
        memory[1],
        flops / ours / rate if flops and rate else None,
    )


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
    with PeakBytes() as counted:
        step()
    return counted.peak
