"""One optimisation step of an unlearning method: examples in, gradients out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from unlearnbench.contract.batch import Batch, Part, PartName
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.forward import Inputs, PromptInput, collate, logits_and_states, shared_prompt
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.precision import CastWeights
from unlearnbench.engine.reference import Reference
from unlearnbench.engine.soft_prompt import TrainablePrompt


class Loss(Protocol):
    """What the engine needs of a method."""

    def loss(self, batch: Batch) -> Tensor:
        """The scalar to minimise."""


@dataclass(frozen=True)
class TrainingSet:
    """Encoded training examples by part, with the references a method declares.

    The parts "forget" and "generic" hold the same examples with different answers.
    """

    parts: Mapping[PartName, Sequence[Encoded]]
    references: Mapping[PartName, Reference] = field(default_factory=dict)

    @property
    def forget_size(self) -> int:
        """Number of forget examples, 0 if the method does not see them."""
        return max((len(rows) for name, rows in self.parts.items() if name != "retain"), default=0)

    @property
    def size(self) -> int:
        """Number of items: forget examples first, then retain examples."""
        return self.forget_size + len(self.parts.get("retain", ()))

    def select(self, items: Sequence[int]) -> list[tuple[PartName, int]]:
        """Part and index of every row that the given items stand for."""
        forget = [item for item in items if item < self.forget_size]
        retain = [item - self.forget_size for item in items if item >= self.forget_size]
        return [(name, i) for name in self.parts for i in (retain if name == "retain" else forget)]


@dataclass
class UnlearningStep:
    """Computes the gradients of a method's loss, in as many passes as memory requires.

    Attributes:
        prompt: the soft prompt that is trained, or None if the weights are trained.
        shared_prefix: whether all rows share the soft prompt; if not, each row repeats it.
        budget: tokens in one pass; halved when a pass runs out of memory, which does not change the result.
        layer: the layer whose outputs the method's loss reads, or None.
    """

    model: LanguageModel
    method: Loss
    data: TrainingSet
    prompt: TrainablePrompt | None
    shared_prefix: bool
    budget: int
    layer: int | None = None

    def __post_init__(self) -> None:
        self._weights = CastWeights(self.model.network, self.model.precision, trains=self.prompt is None)

    def __call__(self, items: list[int]) -> float:
        while True:
            try:
                return self._attempt(self.data.select(items))
            except torch.OutOfMemoryError:
                if self.budget <= 1:
                    raise
                self.budget //= 2
                self._drop_gradients()

    def _attempt(self, rows: list[tuple[PartName, int]]) -> float:
        total = 0.0
        prefix = 0 if self.prompt is None or self.shared_prefix else self.prompt.tokens
        with self._weights.in_place(), self._prompted() as prompted:
            for indices in self.model.passes([self.data.parts[name][i] for name, i in rows], self.budget, prefix):
                total += self._pass([rows[i] for i in indices], rows, prompted)
        return total

    def _pass(
        self, rows: list[tuple[PartName, int]], step: list[tuple[PartName, int]], prompted: PromptInput | None
    ) -> float:
        encoded = [self.data.parts[name][i] for name, i in rows]
        inputs = collate(encoded, self.model.pad, self.model.device)
        with self.model.autocast():
            logits, states = logits_and_states(self.model.network, inputs, prompted, self.layer)
        parts = {name: self._part(name, rows, step, inputs, logits, states) for name in self.data.parts}
        loss = self.method.loss(Batch(parts))
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _part(
        self,
        name: PartName,
        rows: list[tuple[PartName, int]],
        step: list[tuple[PartName, int]],
        inputs: Inputs,
        logits: Tensor,
        states: Tensor | None,
    ) -> Part:
        here = [row for row, (part, _) in enumerate(rows) if part == name]
        examples = [rows[row][1] for row in here]
        renumbered = torch.full((len(rows),), -1, device=logits.device)
        renumbered[here] = torch.arange(len(here), device=logits.device)
        owner = renumbered[inputs.rows.to(logits.device)]
        mine = owner >= 0
        if states is not None:
            states = states[renumbered[inputs.tokens[0].to(logits.device)].to(states.device) >= 0]
        reference = self.data.references.get(name)
        values = {reference.kind: reference.rows(examples, logits.device)} if reference else {}
        whole = [self.data.parts[name][i] for part, i in step if part == name]
        return Part(
            logits=logits[mine],
            answers=inputs.answers.to(logits.device)[mine],
            rows=owner[mine],
            examples=len(examples),
            step_tokens=sum(len(example.answer) for example in whole),
            step_examples=len(whole),
            reference_distribution=values.get("distribution"),
            reference_log_probability=values.get("log_probability"),
            hidden_states=states,
            reference_hidden_states=values.get("hidden_states"),
            step_input_tokens=sum(len(example.ids) - 1 for example in whole),
        )

    @contextmanager
    def _prompted(self) -> Iterator[PromptInput | None]:
        """The soft prompt as the step's passes take it; its gradient flows back once, at the end of the block."""
        if self.prompt is None:
            yield None
            return
        with self.model.autocast():
            embeddings = self.prompt().to(self.model.network.dtype)
            shared = shared_prompt(self.model.network, embeddings) if self.shared_prefix else None
        outputs = shared.tensors if shared else [embeddings]
        leaves = [output.detach().requires_grad_() for output in outputs]
        yield shared.of(leaves) if shared else leaves[0]
        torch.autograd.backward(outputs, [leaf.grad for leaf in leaves])

    def _drop_gradients(self) -> None:
        (self.prompt or self.model.network).zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
