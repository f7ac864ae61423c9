"""From a model to its predictions and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unlearnbench.engine.encoding import Encoded, Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.writing import write
from unlearnbench.metrics import Confusion, Metric, Predictions, accuracy, confusion, weighted_f1
from unlearnbench.task import Example


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one split.

    Attributes:
        further: values of registered metrics, by name.
    """

    examples: int
    accuracy: float
    f1: float
    confusion: Confusion
    predictions: Predictions
    further: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluator:
    """Evaluates models on examples of one task.

    Attributes:
        labels: the task's labels; empty where answers are free text.
    """

    encoder: Encoder
    labels: Sequence[str]
    generic_labels: Sequence[str]
    metrics: Sequence[Metric] = ()

    def evaluate(self, model: LanguageModel, examples: Sequence[Example]) -> Evaluation:
        """Predicts every example's answer by full-vocabulary argmax, and scores the predictions.

        An answer of several tokens counts as right when every one of them is the argmax, which is when greedy
        decoding would write it.
        """
        encoded = self.encoder.encode(examples)
        predicted, log_probabilities = self._predict(model, examples, encoded)
        predictions = Predictions(
            [example.answer for example in examples],
            predicted,
            self.labels,
            self.generic_labels,
            log_probabilities,
            [len(row.answer) for row in encoded],
            self._written(model, encoded),
        )
        return Evaluation(
            len(examples),
            accuracy(predictions),
            weighted_f1(predictions),
            confusion(predictions),
            predictions,
            {metric.name: metric.compute(predictions) for metric in self.metrics},
        )

    def _written(self, model: LanguageModel, encoded: Sequence[Encoded]) -> list[str]:
        if not any(metric.needs_text for metric in self.metrics):
            return []
        return [self.encoder.decode(tokens) for tokens in write(model, encoded)]

    def _predict(
        self, model: LanguageModel, examples: Sequence[Example], encoded: Sequence[Encoded]
    ) -> tuple[list[str], list[float]]:
        spelt, log_probabilities = _argmax(model, encoded)
        predicted = [
            example.answer if tokens == row.answer else self.encoder.decode(tokens)
            for example, row, tokens in zip(examples, encoded, spelt, strict=True)
        ]
        self._recognise_other_labels(model, examples, encoded, spelt, predicted)
        return predicted, log_probabilities

    def _recognise_other_labels(
        self,
        model: LanguageModel,
        examples: Sequence[Example],
        encoded: Sequence[Encoded],
        spelt: Sequence[tuple[int, ...]],
        predicted: list[str],
    ) -> None:
        """Names the label that a wrong prediction spells.

        Only the first token of a wrong prediction was predicted after the prompt alone. A label of one token is
        therefore known from it; one of several tokens that begins with it is tried out.
        """
        wrong = [i for i, row in enumerate(encoded) if spelt[i] != row.answer]
        for label in dict.fromkeys([*self.labels, *self.generic_labels]):
            rows = self.encoder.encode([examples[i] for i in wrong], [label] * len(wrong))
            begun = [(i, row) for i, row in zip(wrong, rows, strict=True) if row.answer[0] == spelt[i][0]]
            longer = [(i, row) for i, row in begun if len(row.answer) > 1]
            tokens, _ = _argmax(model, [row for _, row in longer])
            complete = {i for (i, row), found in zip(longer, tokens, strict=True) if found == row.answer}
            for i, row in begun:
                if len(row.answer) == 1 or i in complete:
                    predicted[i] = label


def _argmax(model: LanguageModel, encoded: Sequence[Encoded]) -> tuple[list[tuple[int, ...]], list[float]]:
    """The most probable token at each answer position, and log p(answer | prompt), of each example."""
    spelt: list[tuple[int, ...]] = [()] * len(encoded)
    log_probabilities = [0.0] * len(encoded)
    for indices, inputs, logits in model.predict(encoded):
        chosen = logits.float().log_softmax(-1).gather(-1, inputs.answers[:, None])[:, 0].tolist()
        best = logits.argmax(-1).tolist()
        start = 0
        for index in indices:
            end = start + len(encoded[index].answer)
            spelt[index] = tuple(best[start:end])
            log_probabilities[index] = sum(chosen[start:end])
            start = end
    return spelt, log_probabilities
