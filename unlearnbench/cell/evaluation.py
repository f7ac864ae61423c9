"""From a model to its predictions and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unlearnbench.contract.metrics import Confusion, Metric, Predictions, accuracy, confusion
from unlearnbench.contract.task import Example
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.writing import write

# Behind what a model begins to write, if the rest is not known.
UNKNOWN_END = "…"
# Behind a text that reads like a label but consists of other tokens.
OTHER_TOKENS = " (other tokens)"


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one split.

    Attributes:
        values: of registered metrics, by name.
    """

    examples: int
    accuracy: float
    confusion: Confusion
    predictions: Predictions
    values: dict[str, float] = field(default_factory=dict)


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

        An answer counts as right if each of its tokens is the argmax, which is when greedy decoding would write
        it; the text alone does not count.
        """
        encoded = self.encoder.encode(examples, room=model.room())
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
        argmax, log_probabilities = answer_argmax(model, encoded)
        predicted = [
            example.answer if tokens == row.answer else self._wrong(example.answer, row, tokens)
            for example, row, tokens in zip(examples, encoded, argmax, strict=True)
        ]
        wrong = [i for i, row in enumerate(encoded) if argmax[i] != row.answer]
        begun = {i: argmax[i][0] for i in wrong}
        for i, label in self._other_labels(model, examples, begun).items():
            predicted[i] = label
        return predicted, log_probabilities

    def _wrong(self, answer: str, row: Encoded, argmax: Sequence[int]) -> str:
        """What greedy decoding begins to write, as far as it is known: up to the first wrong token.

        The argmax at later places was predicted behind tokens of the right answer, which greedy decoding does not
        write. Other tokens may have the text of a label; they are not its tokens, so the text is marked.
        """
        known = next(i for i, (token, right) in enumerate(zip(argmax, row.answer, strict=True)) if token != right) + 1
        text = self.encoder.decode(argmax[:known]) + (UNKNOWN_END if known < len(argmax) else "")
        return text + OTHER_TOKENS if text in {answer, *self.labels, *self.generic_labels} else text

    def _other_labels(
        self, model: LanguageModel, examples: Sequence[Example], begun: Mapping[int, int]
    ) -> dict[int, str]:
        """The labels that greedy decoding writes; the longest if it writes one that begins with another.

        A label of one token is known from the first predicted token. One of several that begins with that token is
        tried out.

        Args:
            begun: the first predicted token of some examples, by index.
        """
        found: dict[int, tuple[int, str]] = {}
        for label in dict.fromkeys([*self.labels, *self.generic_labels]):
            encoded = self.encoder.encode([examples[i] for i in begun], [label] * len(begun), model.room())
            rows = {i: row for (i, token), row in zip(begun.items(), encoded, strict=True) if row.answer[0] == token}
            longer = {i: row for i, row in rows.items() if len(row.answer) > 1}
            argmax, _ = answer_argmax(model, list(longer.values()))
            refused = {i for (i, row), tokens in zip(longer.items(), argmax, strict=True) if tokens != row.answer}
            for i, row in rows.items():
                if i not in refused and len(row.answer) > found.get(i, (0, ""))[0]:
                    found[i] = (len(row.answer), label)
        return {i: label for i, (_, label) in found.items()}


def answer_argmax(model: LanguageModel, encoded: Sequence[Encoded]) -> tuple[list[tuple[int, ...]], list[float]]:
    """The most probable token at each answer position, and log p(answer | prompt), of each example."""
    argmax: list[tuple[int, ...]] = [()] * len(encoded)
    log_probabilities = [0.0] * len(encoded)
    for indices, inputs, logits in model.predict(encoded):
        chosen = logits.float().log_softmax(-1).gather(-1, inputs.answers[:, None])[:, 0].tolist()
        best = logits.argmax(-1).tolist()
        start = 0
        for index in indices:
            end = start + len(encoded[index].answer)
            argmax[index] = tuple(best[start:end])
            log_probabilities[index] = sum(chosen[start:end])
            start = end
    return argmax, log_probabilities
