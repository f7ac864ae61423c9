"""How long a run will take and how much memory it needs, before it starts: rough figures from counted work."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from unlearnbench.cell.cell import Cell
from unlearnbench.cell.identify import base_epochs, tokens_per_pass
from unlearnbench.config import RunConfig
from unlearnbench.contract.rows import BASE, RETRAIN
from unlearnbench.contract.task import Example
from unlearnbench.models.loading import compute_dtype, model_size, pick_device
from unlearnbench.models.memory import ModelSize, peak_bytes
from unlearnbench.models.threads import threads_for

CHARACTERS_PER_TOKEN = 4.0
# Share of the measured matrix-product rate that a whole training step reaches.
EFFICIENCY = 0.4


@dataclass
class Estimator:
    """Seconds and bytes that cells take on this machine."""

    config: RunConfig
    _sizes: dict[str, ModelSize] = field(default_factory=dict)
    _threads: dict[str, int] = field(default_factory=dict)

    def seconds(self, cell: Cell) -> float:
        """A cell's training and evaluation, without loading; the base model is counted in the base cell."""
        data, tuning = cell.scenario.data, self.config.tuning
        train_tokens = {
            "forget": self._tokens(data.splits.train_forget),
            "retain": self._tokens(data.splits.train_retain),
        }
        evaluated = sum(self._tokens(examples) for _, examples in data.splits.items())
        evaluated += sum(self._tokens(transfer.examples) for transfer in cell.scenario.transfer)
        work = 2.0 * evaluated
        if cell.row in (BASE, RETRAIN):
            base = self.config.base
            learned = train_tokens["retain"] + (train_tokens["forget"] if cell.row == BASE else 0.0)
            work += {"full": 6, "none": 0}.get(base.kind, 4) * learned * base_epochs(data.task, base)
        elif cell.choice is not None:
            method = cell.choice.build(cell.choice.defaults)
            seen = sum(train_tokens["retain" if part == "retain" else "forget"] for part in method.uses)
            trials = tuning.trials if cell.choice.space and tuning.trials and cell.leader is None else 1
            judged = 2.0 * sum(
                tokens * min(1.0, tuning.max_examples / max(1, size))
                for tokens, size in zip(
                    train_tokens.values(), (len(data.splits.train_forget), len(data.splits.train_retain)), strict=True
                )
            )
            work += trials * ((6 if method.soft_prompt() is None else 4) * seen * method.epochs + judged)
        return work * self._size(cell).parameters / (EFFICIENCY * self._rate(self.threads(cell)))

    def threads(self, cell: Cell) -> int:
        """CPU threads that the cell is computed with."""
        model = cell.scenario.model
        if model.identity not in self._threads:
            self._threads[model.identity] = threads_for(self.config.model, model)
        return self._threads[model.identity]

    def peak_bytes(self, cell: Cell) -> int:
        """Peak memory of the cell's heaviest stage."""
        device = pick_device(self.config.model)
        splits = cell.scenario.data.splits
        longest_batch = 32 * max(len(example.prompt) for _, rows in splits.items() for example in rows)
        budget = tokens_per_pass(self.config.model)
        trains_weights, quantised = False, False
        if cell.row in (BASE, RETRAIN):
            trains_weights, quantised = self.config.base.kind == "full", self.config.base.kind == "qlora"
        elif cell.choice is not None:
            frozen = cell.choice.build(cell.choice.defaults).soft_prompt() is not None
            trains_weights, quantised = not frozen, frozen and self.config.model.frozen_4bit
        return peak_bytes(
            self._size(cell),
            self.config.model,
            str(compute_dtype(self.config.model, device)).removeprefix("torch."),
            min(budget, int(longest_batch / CHARACTERS_PER_TOKEN)),
            trains_weights,
            quantised,
        )

    def parameters(self, cell: Cell) -> int:
        """Number of weights of the cell's model."""
        return self._size(cell).parameters

    def _size(self, cell: Cell) -> ModelSize:
        model = cell.scenario.model
        if model.identity not in self._sizes:
            self._sizes[model.identity] = model_size(model)
        return self._sizes[model.identity]

    def _rate(self, threads: int) -> float:
        device = pick_device(self.config.model)
        return matmul_rate(str(device), str(compute_dtype(self.config.model, device)).removeprefix("torch."), threads)

    def _tokens(self, examples: tuple[Example, ...]) -> float:
        longest = self.config.model.context_length
        return sum(min(len(example.prompt) / CHARACTERS_PER_TOKEN, longest) for example in examples)


@cache
def matmul_rate(device: str, dtype: str, threads: int) -> float:
    """Floating-point operations per second of a large matrix product on this machine, with so many CPU threads."""
    import time

    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        size = 1024 if device == "cpu" else 8192
        matrix = torch.randn(size, size, device=device, dtype=getattr(torch, dtype))
        matrix @ matrix
        if device != "cpu":
            torch.accelerator.synchronize()
        start, repeats = time.perf_counter(), 4
        for _ in range(repeats):
            matrix @ matrix
        if device != "cpu":
            torch.accelerator.synchronize()
        return float(repeats * 2 * size**3 / (time.perf_counter() - start))
    finally:
        torch.set_num_threads(before)
