"""Metrics over the predictions of one split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ANYTHING_ELSE = "(anything else)"


@dataclass(frozen=True)
class Predictions:
    """What a model answered on one split.

    Attributes:
        answers: the right answers.
        predicted: the result of greedy decoding: the answer, or another label, if its tokens are exactly predicted;
            else the text up to the first token that differs from the answer's, followed by "…" if the answer is longer,
            and by "(other tokens)" if the text reads like a label.
        labels: the task's labels, empty for free text.
        generic_labels: answers that stand for "I do not know".
        log_probabilities: log p(answer | prompt) per example, the sum over the answer's tokens.
        answer_tokens: number of tokens of each right answer.
        written: what the model generates after each prompt by greedy decoding, with at most as many tokens as the right
            answer has; empty unless a metric `needs_text`.
    """

    answers: Sequence[str]
    predicted: Sequence[str]
    labels: Sequence[str]
    generic_labels: Sequence[str]
    log_probabilities: Sequence[float]
    answer_tokens: Sequence[int]
    written: Sequence[str] = ()


class Metric(ABC):
    """A number computed from the predictions of one split, recorded as ``{split}_{name}``.

    Attributes:
        needs_text: whether it reads `Predictions.written`, which takes a forward pass per token.
        lower_is_better: whether a smaller value means better answers, as for a loss. Better answers are the aim on
            retain examples; on forget examples the aim is the opposite, as for all metrics.
        is_share: whether it is between 0 and 1 and shown in percent.
        variant: which of several definitions in use under this name, in a few words; tables show it behind the title.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    needs_text: ClassVar[bool] = False
    lower_is_better: ClassVar[bool] = False
    is_share: ClassVar[bool] = True
    variant: ClassVar[str] = ""

    @abstractmethod
    def compute(self, predictions: Predictions) -> float:
        """The metric's value."""


def right(predictions: Predictions) -> NDArray[np.float64]:
    """1 for each right prediction, else 0; ``[examples]``."""
    import numpy as np

    pairs = zip(predictions.answers, predictions.predicted, strict=True)
    return np.array([answer == predicted for answer, predicted in pairs], float)


def accuracy(predictions: Predictions) -> float:
    """Share of right answers; tuning and the trade-off use it, whichever metrics are registered."""
    pairs = zip(predictions.answers, predictions.predicted, strict=True)
    return sum(answer == predicted for answer, predicted in pairs) / len(predictions.answers)


def confusion_counts(predictions: Predictions) -> dict[tuple[str, str], int]:
    """How often each answer was predicted as each label, generic label or anything else, by (answer, predicted)."""
    known = {*predictions.labels, *predictions.generic_labels}
    counts: Counter[tuple[str, str]] = Counter()
    for answer, predicted in zip(predictions.answers, predictions.predicted, strict=True):
        counts[answer, predicted if predicted in known else ANYTHING_ELSE] += 1
    return dict(counts)


@dataclass(frozen=True)
class Confusion:
    """Shares of a split's examples by the kind of prediction; they sum to 1."""

    correct: float
    generic: float
    other_label: float
    anything_else: float


def confusion(predictions: Predictions) -> Confusion:
    """How often the prediction is correct, a generic label, another label of the task, or anything else."""
    counts = {"correct": 0, "generic": 0, "other_label": 0, "anything_else": 0}
    labels, generic = set(predictions.labels), set(predictions.generic_labels)
    for answer, predicted in zip(predictions.answers, predictions.predicted, strict=True):
        if predicted == answer:
            counts["correct"] += 1
        elif predicted in generic:
            counts["generic"] += 1
        elif predicted in labels:
            counts["other_label"] += 1
        else:
            counts["anything_else"] += 1
    return Confusion(**{name: count / len(predictions.answers) for name, count in counts.items()})
