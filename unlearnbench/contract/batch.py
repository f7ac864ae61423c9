"""What the engine passes to a method's loss: predictions of answer tokens, and hidden states if it needs them.

Methods do not deal with padding, prompts or devices. Torch is not imported here, so that a plugin file is quick to
import; tensors bring their own operations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

PartName = Literal["forget", "generic", "retain"]
ReferenceKind = Literal["distribution", "log_probability", "hidden_states"]
KLDirection = Literal["model||reference", "reference||model"]


@dataclass
class Part:
    """The answer tokens of some examples, and what the model predicts for them.

    An optimisation step may be split into several forward passes to fit into memory. Means are therefore taken
    over the step's counts (``step_tokens``, ``step_examples``, ``step_input_tokens``), so that the losses of the
    passes add up to the loss of the whole step. A part may be empty; all its means are then zero.

    Attributes:
        logits: ``[tokens, vocab]``, each row predicts the answer token of the same row.
        answers: ``[tokens]`` token ids.
        rows: ``[tokens]``, the example of the part that a token belongs to, ``0 <= rows < examples``.
        examples: number of examples in this pass.
        step_tokens, step_examples, step_input_tokens: counts over the whole optimisation step.
        reference_distribution: ``[tokens, vocab]`` log-probabilities of the base model, if the method declares them.
        reference_log_probability: ``[examples]`` log p(answer | prompt) of the base model, if the method declares it.
        hidden_states: ``[input tokens, hidden]``, outputs of `Method.hidden_layer` for every token that the model
            reads (prompt and answer, without the last token), example after example; None unless a layer is named.
        reference_hidden_states: the same of the base model, if the method declares them.
    """

    logits: Tensor
    answers: Tensor
    rows: Tensor
    examples: int
    step_tokens: int
    step_examples: int
    reference_distribution: Tensor | None = None
    reference_log_probability: Tensor | None = None
    hidden_states: Tensor | None = None
    reference_hidden_states: Tensor | None = None
    step_input_tokens: int = 0

    @cached_property
    def distribution(self) -> Tensor:
        """``[tokens, vocab]`` log-probabilities in float32."""
        return self.logits.float().log_softmax(-1)

    @cached_property
    def token_log_probability(self) -> Tensor:
        """``[tokens]`` log-probability of each answer token."""
        return self.distribution.gather(-1, self.answers[:, None])[:, 0]

    @property
    def log_probability(self) -> Tensor:
        """``[examples]`` log p(answer | prompt), the sum over the answer's tokens."""
        zeros = self.token_log_probability.new_zeros(self.examples)
        return zeros.index_add(0, self.rows, self.token_log_probability)

    @property
    def answer_tokens(self) -> Tensor:
        """``[examples]`` number of answer tokens of each example."""
        return self.rows.bincount(minlength=self.examples)

    def mean_over_tokens(self, values: Tensor) -> Tensor:
        """Mean of ``[tokens]`` values over the step; a scalar."""
        return values.sum() / max(self.step_tokens, 1)

    def mean_over_examples(self, values: Tensor) -> Tensor:
        """Mean of ``[examples]`` values over the step; a scalar."""
        return values.sum() / max(self.step_examples, 1)

    def mean_over_input_tokens(self, values: Tensor) -> Tensor:
        """Mean of ``[input tokens]`` values over the step; a scalar."""
        return values.sum() / max(self.step_input_tokens, 1)

    def cross_entropy(self) -> Tensor:
        """Mean negative log-likelihood of the answer tokens; a scalar."""
        return self.mean_over_tokens(-self.token_log_probability)

    def kl_divergence(self, direction: KLDirection = "model||reference") -> Tensor:
        """Mean Kullback-Leibler divergence between model and base model over the answer tokens; a scalar."""
        if self.reference_distribution is None:
            raise ValueError("the method does not declare a 'distribution' reference for this part")
        model, reference = self.distribution, self.reference_distribution
        if direction == "reference||model":
            model, reference = reference, model
        return self.mean_over_tokens((model.exp() * (model - reference)).sum(-1))

    def log_ratio(self) -> Tensor:
        """``[examples]`` log p(answer | prompt) of the model minus that of the base model."""
        if self.reference_log_probability is None:
            raise ValueError("the method does not declare a 'log_probability' reference for this part")
        return self.log_probability - self.reference_log_probability


@dataclass
class Batch:
    """The parts of one optimisation step that a method declares in ``Method.uses``."""

    parts: dict[PartName, Part] = field(default_factory=dict)

    @property
    def forget(self) -> Part:
        """Forget examples with their true answers."""
        return self.parts["forget"]

    @property
    def generic(self) -> Part:
        """Forget examples, each with a generic answer ("neutral", "unknown", ...) that is drawn once per example."""
        return self.parts["generic"]

    @property
    def retain(self) -> Part:
        """Retain examples with their true answers."""
        return self.parts["retain"]
