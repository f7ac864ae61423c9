"""Metrics against scikit-learn and against greedy decoding by transformers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from unlearnbench_metrics.f1 import WeightedF1

from tests.conftest import TEXTS, gpt2_tokenizer, review, tiny_llama
from unlearnbench.cell.cost import Cost
from unlearnbench.cell.evaluation import Evaluator, answer_argmax
from unlearnbench.cell.result import CellResult
from unlearnbench.contract.metrics import Metric, Predictions, accuracy, confusion, confusion_counts
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.forward import Inputs
from unlearnbench.engine.model import LanguageModel

LABELS = ("negative", "positive")


def predictions(answers: list[str], predicted: list[str]) -> Predictions:
    return Predictions(answers, predicted, LABELS, ("neutral", "unknown"), [0.0] * len(answers), [1] * len(answers))


def test_accuracy_and_f1_are_scikit_learns_and_know_labels_that_never_occur() -> None:
    answers = ["positive", "negative", "positive", "negative", "positive"]
    predicted = ["positive", "neutral", "negative", "negative", "banana"]
    codes = {"negative": 0, "positive": 1, "neutral": 2, "banana": 3}
    truth, guess = [codes[a] for a in answers], [codes[p] for p in predicted]
    assert accuracy(predictions(answers, predicted)) == accuracy_score(truth, guess) == 0.4
    per_label = f1_score(truth, guess, average=None, labels=[0, 1])
    assert WeightedF1().compute(predictions(answers, predicted)) == (2 * per_label[0] + 3 * per_label[1]) / 5


def test_confusion_counts_what_became_of_the_examples() -> None:
    found = confusion(predictions(["positive"] * 4, ["positive", "negative", "neutral", "banana"]))
    assert (found.correct, found.other_label, found.generic, found.anything_else) == (0.25, 0.25, 0.25, 0.25)


def test_confusion_is_counted_by_right_answer() -> None:
    answers = ["positive", "positive", "negative", "negative"]
    counts = confusion_counts(predictions(answers, ["neutral", "positive", "banana", "apple"]))
    assert counts == {
        ("positive", "neutral"): 1,
        ("positive", "positive"): 1,
        ("negative", "(anything else)"): 2,
    }


def test_predictions_are_what_greedy_decoding_writes() -> None:
    """Every vocabulary item is allowed, and an answer of several tokens must be right in all of them."""
    tokenizer = gpt2_tokenizer()
    network = tiny_llama(len(tokenizer))
    encoder = Encoder(tokenizer, 1024)
    prompts = [review(text, "positive") for text in TEXTS]
    greedy = []
    for example in prompts:
        ids = torch.tensor([tokenizer(example.prompt)["input_ids"]])
        continued = network.generate(ids, max_new_tokens=2, do_sample=False, pad_token_id=0)
        greedy.append(tokenizer.decode(continued[0, ids.shape[1] :]))
    # The first four answers are what the model writes (two tokens each), the others are not.
    examples = [review(text, greedy[i].strip() if i < 4 else "positive negative") for i, text in enumerate(TEXTS)]
    writable = [greedy[i].startswith(" ") and greedy[i].strip() != "" for i in range(4)]
    result = Evaluator(encoder, (), ()).evaluate(LanguageModel(network, pad=0), examples)
    for i, can_be_written in enumerate(writable):
        encoded = encoder.encode([examples[i]])[0]
        matches = tokenizer.decode(list(encoded.answer)) == greedy[i] and len(encoded.answer) == 2
        if can_be_written and matches:
            assert result.predictions.predicted[i] == examples[i].answer
    assert result.predictions.predicted[4:] != ["positive negative"] * 4
    assert result.accuracy == accuracy_score([e.answer for e in examples], result.predictions.predicted)


class Shouting(Metric):
    """How many texts were written."""

    name = "shouting"
    title = "Shouting"
    description = "For this test."
    needs_text = True

    def compute(self, predictions: Predictions) -> float:
        return float(len(predictions.written))


def test_metrics_that_need_text_get_what_the_model_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = gpt2_tokenizer()
    network = tiny_llama(len(tokenizer))
    model, encoder = LanguageModel(network, pad=0), Encoder(tokenizer, 1024)
    examples = [review(text, "positive negative") for text in TEXTS]
    result = Evaluator(encoder, (), (), [Shouting()]).evaluate(model, examples)
    assert result.values == {"shouting": len(TEXTS)}
    tokens = len(encoder.encode(examples[:1])[0].answer)
    for example, written in zip(examples, result.predictions.written, strict=True):
        ids = torch.tensor([tokenizer(example.prompt)["input_ids"]])
        continued = network.generate(ids, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
        assert written == tokenizer.decode(continued[0, ids.shape[1] :], skip_special_tokens=True).strip()

    monkeypatch.setattr("unlearnbench.cell.evaluation.write", lambda *given: pytest.fail("nobody asked for text"))
    assert Evaluator(encoder, (), ()).evaluate(model, examples).predictions.written == []


class Scripted(torch.nn.Module):
    """Stands in for the LM head: after a token of the script the next one is the most probable, else the first."""

    def __init__(self, head: torch.nn.Module, script: Sequence[int]) -> None:
        super().__init__()
        self.weight, self.first, self.follow = head.weight, script[0], dict(itertools.pairwise(script))
        self.inputs = torch.empty(0, dtype=torch.long)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(hidden), len(self.weight))
        for row, token in enumerate(self.inputs.tolist()):
            logits[row, self.follow.get(token, self.first)] = 1.0
        return logits


class ScriptedModel(LanguageModel):
    """Writes a script whatever it is asked, wherever it is asked alone."""

    @classmethod
    def that_writes(cls, script: Sequence[int], vocabulary: int) -> ScriptedModel:
        network = tiny_llama(vocabulary)
        network.lm_head = Scripted(network.lm_head, script)
        return cls(network, pad=0)

    def predict(self, encoded: Sequence[Encoded]) -> Iterator[tuple[list[int], Inputs, torch.Tensor]]:
        for row, item in enumerate(encoded):
            self.network.lm_head.inputs = torch.tensor(item.ids[item.answer_start - 1 : -1])
            for _, inputs, logits in super().predict([item]):
                yield [row], inputs, logits


@pytest.mark.parametrize("labels", [("A", "B"), ()])
def test_an_answer_counts_by_its_tokens_and_not_by_its_text(labels: tuple[str, ...]) -> None:
    """The argmax reads "B", but without the space that belongs to the answer's token."""
    tokenizer = gpt2_tokenizer()
    encoder, example = Encoder(tokenizer, 1024), review("dull", "B")
    (right,) = encoder.encode([example])
    twin = tokenizer.convert_tokens_to_ids("B")
    assert right.answer == (tokenizer.convert_tokens_to_ids("ĠB"),)
    found = Evaluator(encoder, labels, ()).evaluate(ScriptedModel.that_writes([twin], len(tokenizer)), [example])
    assert found.accuracy == 0.0
    assert found.predictions.predicted == ["B (other tokens)"]
    assert found.confusion.anything_else == 1.0
    model = ScriptedModel.that_writes(right.answer, len(tokenizer))
    assert Evaluator(encoder, labels, ()).evaluate(model, [example]).accuracy == 1.0


@pytest.mark.parametrize(
    ("written", "answer", "predicted"),
    [
        ("zygote", "positive", "zygote"),
        ("zylon", "zygote", "zylon"),
        ("zygote quartz", "zygote zylon", "zygote quartz"),
        # Greedy decoding goes on behind the shorter label.
        ("zygote quartz", "positive", "zygote quartz"),
    ],
)
def test_a_wrong_label_of_several_tokens_is_recognised(written: str, answer: str, predicted: str) -> None:
    tokenizer = gpt2_tokenizer()
    encoder = Encoder(tokenizer, 1024)
    labels = ("positive", "zygote", "zylon", "zygote quartz", "zygote zylon")
    (script,) = encoder.encode([review("dull", written)])
    model = ScriptedModel.that_writes(script.answer, len(tokenizer))
    found = Evaluator(encoder, labels, ()).evaluate(model, [review("dull", answer)])
    assert found.predictions.predicted == [predicted]
    assert found.confusion.other_label == 1.0


def test_tokens_predicted_behind_the_right_answer_are_not_what_the_model_writes() -> None:
    """The model writes "negative"; behind tokens of "zygote quartz" it predicts that one's next."""
    tokenizer = gpt2_tokenizer()
    encoder, example = Encoder(tokenizer, 1024), review("dull", "zygote quartz")
    answer, negative = encoder.encode([example] * 2, ["zygote quartz", "negative"])
    model = ScriptedModel.that_writes([negative.answer[0], *answer.answer], len(tokenizer))
    (tokens,), _ = answer_argmax(model, [answer])
    assert tokens == (negative.answer[0], *answer.answer[1:])
    found = Evaluator(encoder, (), ()).evaluate(model, [example])
    assert found.predictions.predicted == ["negative…"], "what comes next is not known"
    found = Evaluator(encoder, ("negative",), ()).evaluate(model, [example])
    assert found.predictions.predicted == ["negative"], "a label of one token is known"


def test_log_probability_of_the_answer_is_recorded() -> None:
    tokenizer = gpt2_tokenizer()
    network = tiny_llama(len(tokenizer))
    encoder = Encoder(tokenizer, 1024)
    example = review("dull", "zygote")
    result = Evaluator(encoder, (), ()).evaluate(LanguageModel(network, pad=0), [example])
    (row,) = encoder.encode([example])
    distribution = network(torch.tensor([row.ids])).logits[0].log_softmax(-1)
    expected = sum(float(distribution.detach()[row.answer_start - 1 + i, token]) for i, token in enumerate(row.answer))
    assert abs(result.predictions.log_probabilities[0] - expected) < 1e-4


def test_registered_metrics_are_computed_and_named_by_split() -> None:
    class MeanLogProbability(Metric):
        name = "mean_log_probability"
        title = "Mean log-probability"
        description = "For tests."

        def compute(self, predictions: Predictions) -> float:
            return sum(predictions.log_probabilities) / len(predictions.log_probabilities)

    tokenizer = gpt2_tokenizer()
    model = LanguageModel(tiny_llama(len(tokenizer)), pad=0)
    examples = [review(text, "positive") for text in TEXTS]
    found = Evaluator(Encoder(tokenizer, 1024), LABELS, (), [MeanLogProbability()]).evaluate(model, examples)
    expected = sum(found.predictions.log_probabilities) / len(examples)
    assert found.values == {"mean_log_probability": expected}
    recorded = CellResult({"test_forget": found}, {"arc": found}, Cost()).metrics
    assert recorded["test_forget_mean_log_probability"] == recorded["transfer_arc_mean_log_probability"] == expected
