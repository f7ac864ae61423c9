"""The checks pass for built-in plugins, and fail with a reason for wrong ones."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from tests.conftest import ToyTask
from unlearnbench.api import Batch, Choice, Example, Method, Metric, Predictions, SoftPrompt, Splits
from unlearnbench.plugins import registry
from unlearnbench.testing import Check, method_checks, metric_checks, rig, task_checks
from unlearnbench.testing.check import CheckFailedError


@pytest.mark.parametrize(
    "check", [check for item in registry().methods.values() for check in method_checks(item.item)], ids=str
)
def test_built_in_methods_pass(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", task_checks(ToyTask), ids=str)
def test_good_task_passes(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check", [check for item in registry().metrics.values() for check in metric_checks(item.item)], ids=str
)
def test_built_in_metrics_pass(check: Check) -> None:
    check()


class Upside(Metric):
    """The share of wrong answers, which does not say that lower is better."""

    name, title, description = "upside", "Upside", "Wrong."

    def compute(self, predictions: Predictions) -> float:
        pairs = zip(predictions.answers, predictions.predicted, strict=True)
        return sum(answer != predicted for answer, predicted in pairs) / len(predictions.answers)


class Large(Upside):
    lower_is_better = True

    def compute(self, predictions: Predictions) -> float:
        return 100 * super().compute(predictions)


class Undefined(Upside):
    lower_is_better = True

    def compute(self, predictions: Predictions) -> float:
        return 0.0 if predictions.labels else float("nan")


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Upside, "says that higher is better: set lower_is_better = True"),
        (Large, "a share lies between 0 and 1 .or set is_share = False"),
        (Undefined, "nan, but must be a finite number"),
    ],
)
def test_wrong_metrics_fail_and_say_why(metric: type[Metric], message: str) -> None:
    failed = []
    for check in metric_checks(metric):
        try:
            check()
        except CheckFailedError as error:
            failed.append(str(error))
    assert re.search(message, failed[0])


class Good(Method):
    """L = -CE(F) + CE(R)."""

    name, title, description = "good", "Good", "Good."
    uses = ("forget", "retain")

    def loss(self, batch: Batch) -> Any:
        return -batch.forget.cross_entropy() + batch.retain.cross_entropy()


class Nameless(Good):
    name = "With Space"


class StrangeUse(Good):
    uses = ("forget", "others")  # type: ignore[assignment]


class StrangeReference(Good):
    references = {"generic": "distribution"}


class Undeclared(Good):
    uses = ("forget",)


class Unused(Good):
    uses = ("forget", "generic", "retain")


class NotANumber(Good):
    def loss(self, batch: Batch) -> Any:
        return batch.forget.cross_entropy() * float("nan")


class Constant(Good):
    def loss(self, batch: Batch) -> Any:
        return (batch.forget.logits.sum() + batch.retain.logits.sum()) * 0.0


class Backwards(Good):
    """Its gradient points the other way: it reports one loss and differentiates another."""

    def loss(self, batch: Batch) -> Any:
        value = batch.forget.cross_entropy() + batch.retain.cross_entropy()
        return -value + 2 * value.detach()


class Rolling(Good):
    def loss(self, batch: Batch) -> Any:
        return super().loss(batch) * (0.5 + torch.rand((), generator=GENERATOR))


class OwnMean(Good):
    def loss(self, batch: Batch) -> Any:
        return -batch.forget.token_log_probability.mean() + batch.retain.cross_entropy()


class TooDeep(Good):
    def hidden_layer(self, layers: int) -> int:
        return 7


class NoLayer(Good):
    references = {"retain": "hidden_states"}


class Deaf(Good):
    strength = Choice((1.0, 2.0), default=1.0)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        return {"strength": 3.0}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, 1.0 if name == "strength" else value)


GENERATOR = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("method", "check", "message"),
    [
        (Nameless, "declares what it is", "name 'With Space' must be lower case"),
        (StrangeUse, "declares what it is", "must name some of forget, generic, retain"),
        (StrangeReference, "declares what it is", "names 'generic', which is not in uses"),
        (TooDeep, "declares what it is", "hidden_layer is 7 for a model of 2 layers"),
        (NoLayer, "declares what it is", "refers to hidden states, but names no hidden_layer"),
        (Deaf, "hyper-parameters can be sampled", "good.strength was set to 2.0, but is 1.0"),
        (Undeclared, "reads the parts it declares", "reads batch.retain, but uses is"),
        (Unused, "reads the parts it declares", "names generic, but loss never reads it"),
        (NotANumber, "loss is finite and differentiable", "good.loss is nan"),
        (Constant, "loss is finite and differentiable", "has no gradient"),
        (Backwards, "lowers its own objective", "good.loss went from"),
        (Rolling, "is deterministic under a seed", "has other losses when it is trained a second time"),
        (OwnMean, "survives a batch without forget or without retain examples", "use the part's own means"),
        (OwnMean, "passes add up to the step", "take means with mean_over_tokens"),
    ],
)
def test_wrong_methods_fail_with_a_reason(method: type[Method], check: str, message: str) -> None:
    with pytest.raises(CheckFailedError, match=message):
        next(one for one in method_checks(method) if one.name == check)()


def example(text: str, answer: str = "positive", prompt: str | None = None) -> Example:
    return Example(prompt or f"### {text}", answer, text)


def parts(**changes: tuple[Example, ...]) -> dict[str, tuple[Example, ...]]:
    good = {
        "train_forget": (example("a"),),
        "train_retain": (example("b"),),
        "test_forget": (example("c"),),
        "test_retain": (example("d"),),
    }
    return good | changes


@pytest.mark.parametrize(
    ("splits", "check", "message"),
    [
        (parts(test_forget=()), "has four splits that share no text", "split test_forget is empty"),
        (parts(test_forget=(example("a"),)), "has four splits that share no text", "are also in a test split"),
        (parts(train_retain=(example("a"),)), "has four splits that share no text", "are in both forget and retain"),
        (parts(test_retain=(example("d", "maybe"),)), "answers are labels and can be tokenised", "'maybe' is not in"),
        (parts(test_retain=(example("d", prompt="x "),)), "answers are labels and can be tokenised", "ends in a space"),
    ],
)
def test_wrong_tasks_fail_with_a_reason(splits: dict[str, Any], check: str, message: str) -> None:
    class Wrong(ToyTask):
        def splits(self, source: object, seed: int) -> Splits:
            return Splits(**splits)

    with pytest.raises(CheckFailedError, match=message):
        next(one for one in task_checks(Wrong) if one.name == check)()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"forget_target": "none"}, "forget_target is 'none', but must be of oracle, chance, zero"),
        ({"forget_target": "chance", "labels": ()}, "without labels there is nothing to guess from"),
        ({"forget_target_reason": " "}, "forget_target_reason must say why"),
    ],
)
def test_invalid_forget_targets_are_rejected(attributes: dict[str, Any], message: str) -> None:
    wrong = type("Wrong", (ToyTask,), attributes)
    (declares,) = [check for check in task_checks(wrong) if check.name == "declares what it is"]
    with pytest.raises(CheckFailedError, match=message):
        declares()


def test_nondeterministic_task_is_rejected() -> None:
    class Dice(ToyTask):
        calls = 0

        def splits(self, source: object, seed: int) -> Splits:
            Dice.calls += 1
            return Splits(**parts(train_forget=(example(f"a{Dice.calls}"),)))

    with pytest.raises(CheckFailedError, match="returns other rows when it is called again"):
        next(one for one in task_checks(Dice) if one.name == "is deterministic")()


def test_generic_labels_are_rejected() -> None:
    class Neutral(ToyTask):
        labels = ("positive", "neutral")

    with pytest.raises(CheckFailedError, match="contains neutral"):
        task_checks(Neutral)[0]()


def test_changes_of_untrained_weights_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    class HeadOnly(Good):
        def trains(self, parameter: str, layers: int) -> bool:
            return parameter == "lm_head.weight"

    (check,) = [one for one in method_checks(HeadOnly) if one.name == "trains only what it declares"]
    check()
    train = rig.Rig.train

    def train_more(self: rig.Rig) -> list[float]:
        with torch.no_grad():
            self.network.model.norm.weight.add_(1.0)
        return train(self)

    monkeypatch.setattr(rig.Rig, "train", train_more)
    with pytest.raises(CheckFailedError, match="does not train model.norm.weight, but they changed"):
        check()


def test_changes_of_weights_under_a_soft_prompt_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    class Prompted(Good):
        def soft_prompt(self) -> SoftPrompt:
            return SoftPrompt(2, None)

    def train(self: rig.Rig) -> list[float]:
        with torch.no_grad():
            next(iter(self.network.parameters())).add_(1.0)
        return []

    monkeypatch.setattr(rig.Rig, "train", train)
    with pytest.raises(CheckFailedError, match="trains a soft prompt, but the model's weights changed"):
        next(one for one in method_checks(Prompted) if one.name == "trains only what it declares")()
