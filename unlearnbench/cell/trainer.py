"""Trains and evaluates on one scenario: its cells share weights, encoded splits and reference values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from unlearnbench.cell.best_point import Best
from unlearnbench.cell.cell import Scenario
from unlearnbench.cell.cost import Cost, measured
from unlearnbench.cell.curve import (
    MOST_TESTED,
    AnsweredPoint,
    CurvePoint,
    Recorder,
    affordable_points,
    due_steps,
    right_or_wrong,
    share_right,
    sizes,
)
from unlearnbench.cell.evaluation import Evaluation, Evaluator
from unlearnbench.cell.model_slot import ModelSlot
from unlearnbench.contract.batch import PartName
from unlearnbench.contract.method import Method, SoftPrompt
from unlearnbench.contract.metrics import right
from unlearnbench.contract.objective import SUPPRESSION, ForgetScale, forget_scale, trade_off
from unlearnbench.contract.rows import BASE, RETRAIN
from unlearnbench.contract.task import Example
from unlearnbench.data.sampling import answered_rows, judged_rows, seen_forget_rows, stratified_sample
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.packing import packs
from unlearnbench.engine.probe import can_share_prefix
from unlearnbench.engine.reference import reference
from unlearnbench.engine.soft_prompt import TrainablePrompt
from unlearnbench.engine.training import OnStep, Optimisation, Progress, train, trainable_count
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep
from unlearnbench.errors import UserError
from unlearnbench.identity.ids import ZERO
from unlearnbench.leaderboard.statistics import paired_difference
from unlearnbench.models.loading import load_tokenizer
from unlearnbench.storage.cache import cache_root

# Of forget and retain accuracy on training examples.
Objective = Callable[[float, float], float]


class NothingToForgetError(Exception):
    """The base model is at the target of forgetting itself; the message says what to do."""


@dataclass(frozen=True)
class Trained:
    """Facts about a training run.

    Attributes:
        steps: of the optimiser.
        tokens_per_pass: tokens of one forward pass at the end.
        halved: whether memory was short, so that passes had to be cut.
        shared_prefix: whether rows shared a soft prompt, or had it in every row; None without a soft prompt.
        packed: whether rows stood one after the other without padding.
        cost: without what measuring on the way took.
        curve: accuracies on training examples on the way; the first point is the base model's.
        tested: answers to test examples on the way, too, and at the end; the first point is the base model's.
        best_step: step of the model that was kept as the best of the curve; None if it is the last one anyway.
    """

    trainable_parameters: int
    steps: int
    tokens_per_pass: int
    halved: bool
    shared_prefix: bool | None
    packed: bool
    cost: Cost
    curve: tuple[CurvePoint, ...] = ()
    tested: tuple[AnsweredPoint, ...] = ()
    best_step: int | None = None


class Trainer:
    """What the cells of one scenario share.

    Attributes:
        slot: holds the network.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.config = scenario.config
        self.encoder = Encoder(load_tokenizer(scenario.model), self.config.model.context_length)
        metrics = [registered.item() for registered in scenario.metrics]
        labels = {scenario.data.task.name: scenario.data.task.labels}
        labels |= {data.task.name: data.task.labels for data in scenario.transfer}
        self.evaluators = {
            task: Evaluator(self.encoder, own, self.config.generic_labels, metrics) for task, own in labels.items()
        }
        self.slot = ModelSlot(scenario, self.encoder)
        self._base_accuracies: tuple[float, float] | None = None
        self._base_tested: AnsweredPoint | None = None
        self._forget_scale: ForgetScale | None = None

    @contextmanager
    def unlearn(
        self, method: Method, on_step: OnStep, checkpoints: Checkpoints | None = None
    ) -> Iterator[tuple[LanguageModel, Trained]]:
        """The model that the method makes of the base model, until the block ends; `slot.save` writes it.

        Raises:
            DivergedError: the loss was not finite.
        """
        watched = self.config.tuning.curve_points > 0
        start = (CurvePoint(0, *self.base_accuracies()),) if watched else ()
        tested = (self._base_test(),) if watched else ()
        objective = self._objective() if self.config.tuning.keep == "best" else None

        def train_from(base: LanguageModel) -> tuple[LanguageModel, Trained]:
            model, trained = self._trained(base, method, on_step, checkpoints, objective)
            return model, replace(trained, curve=(*start, *trained.curve), tested=(*tested, *trained.tested))

        with self.slot.trained(method, train_from) as made:
            yield made

    def _trained(
        self,
        base: LanguageModel,
        method: Method,
        on_step: OnStep,
        checkpoints: Checkpoints | None,
        objective: Objective | None,
    ) -> tuple[LanguageModel, Trained]:
        """Trains the method; if there is an objective, the best point of the curve is what becomes of it."""
        wanted = method.soft_prompt()
        layer = self._hidden_layer(base, method)
        data = self._training_set(base, method, layer, 0 if wanted is None else wanted.tokens)
        prompt, shared = (None, None) if wanted is None else self._soft_prompt(base, wanted)
        step = UnlearningStep(base, method, data, prompt, bool(shared), base.budget, layer)
        parameters = [parameter for parameter in (prompt or base.network).parameters() if parameter.requires_grad]
        settings = Optimisation(
            learning_rate=method.learning_rate,
            epochs=method.epochs,
            batch_size=method.batch_size,
            warmup_ratio=method.warmup_ratio,
            weight_decay=method.weight_decay,
            max_grad_norm=method.max_grad_norm,
            optimiser=self.config.model.optimiser if prompt is None else "adamw",
        )

        def current() -> LanguageModel:
            return base if prompt is None else base.with_prompt(prompt().detach(), bool(shared))

        notes: dict[str, Any] = {} if checkpoints is None else checkpoints.notes
        room = current().room()
        curve, test = self._curve(method, data, room, notes), self._test(method, data, room, notes)
        kept = [] if checkpoints is None else checkpoints.kept
        best = Best(parameters, objective, notes, kept) if objective is not None and curve.due else None

        def after_step(progress: Progress) -> None:
            if curve.after(progress.step, current) and best is not None:
                best.consider(*curve.points[-1])
            test.after(progress.step, current)
            on_step(progress)

        with measured() as cost:
            report = train(
                parameters, data.size, step, settings, self.scenario.seed, after_step, checkpoints=checkpoints
            )
        cost.wall_seconds -= curve.seconds + test.seconds
        if checkpoints is not None:
            cost.wall_seconds += checkpoints.earlier_seconds
        best_step = None if best is None else best.put_back()
        return current(), Trained(
            trainable_count(parameters),
            report.steps,
            step.budget,
            step.budget < base.budget,
            shared,
            packs(base.network),
            cost,
            tuple(CurvePoint(*point) for point in curve.points),
            tuple(AnsweredPoint(*point) for point in test.points),
            best_step,
        )

    def _curve(self, method: Method, data: TrainingSet, room: int | None, notes: dict[str, Any]) -> Recorder[float]:
        """Measures the forgetting curve of a training, on the same examples for every training of its size."""
        points, rows = sizes(self.config.tuning.curve_points, data.size * method.epochs)
        steps = _steps(method, data)
        due = due_steps(points, steps)
        if due and self.config.tuning.keep == "best":
            # The last model is one of those that are chosen from, on the same examples.
            due |= {steps}
        samples = [
            stratified_sample(examples, rows, self.config.split_seed) if rows else () for examples in self._judged
        ]
        return Recorder("curve", share_right, self._encoded_for(room, samples), due, notes)

    def _test(self, method: Method, data: TrainingSet, room: int | None, notes: dict[str, Any]) -> Recorder[str]:
        """Measures a training's tested points, on the same examples for every training."""
        wanted, steps = self.config.tuning.curve_points, _steps(method, data)
        samples = self._tested if wanted else ((), ())
        points = affordable_points(wanted, data.size * method.epochs, sum(map(len, samples)))
        due = due_steps(points, steps) | {steps} if wanted else frozenset[int]()
        return Recorder("tested", right_or_wrong, self._encoded_for(room, samples), due, notes)

    def _encoded_for(self, room: int | None, samples: Sequence[Sequence[Example]]) -> list[list[Encoded]]:
        return [self.encoder.encode(examples, room=room) for examples in samples]

    def evaluate_all(self, model: LanguageModel) -> tuple[dict[str, Evaluation], dict[str, Evaluation]]:
        """Evaluations of the four splits and of the transfer tasks."""
        data = self.scenario.data
        evaluator = self.evaluators[data.task.name]
        splits: dict[str, Evaluation] = {name: evaluator.evaluate(model, rows) for name, rows in data.splits.items()}
        transfer = {
            other.task.name: self.evaluators[other.task.name].evaluate(model, other.examples)
            for other in self.scenario.transfer
        }
        return splits, transfer

    def training_accuracies(self, model: LanguageModel) -> tuple[float, float]:
        """Forget and retain accuracy on the training examples that tuning looks at."""
        evaluator = self.evaluators[self.scenario.data.task.name]
        forget, retain = self._judged
        return evaluator.evaluate(model, forget).accuracy, evaluator.evaluate(model, retain).accuracy

    def forget_scale(self, on_step: OnStep = lambda progress: None) -> ForgetScale:
        """When the training examples that tuning looks at count as forgotten.

        Raises:
            NothingToForgetError: the base model answers them no better than a model that has forgotten them.
            BaseFailedError: the retrained model could not be made.
        """
        if self._forget_scale is None:
            self._forget_scale = self._scale(on_step)
        return self._forget_scale

    def _scale(self, on_step: OnStep) -> ForgetScale:
        target, task = self.scenario.forget_target, self.scenario.data.task
        if target == ZERO:
            return SUPPRESSION
        evaluator, (rows, _) = self.evaluators[task.name], self._judged
        if target == "oracle":
            with self.slot.lent(RETRAIN, on_step) as model:
                level = right(evaluator.evaluate(model, rows).predictions)
        else:
            level = np.full(len(rows), 1 / len(task.labels))
        with self.slot.lent(BASE, on_step) as model:
            base = right(evaluator.evaluate(model, rows).predictions)
        scale = forget_scale(float(level.mean()), float(base.mean()))
        low, high = paired_difference(base, level)
        if scale is None or low <= 0 <= high:
            raise NothingToForgetError(
                f"target {target} says nothing about {task.name}: the base model answers {base.mean():.1%} of "
                f"{len(rows)} training forget examples, and a model that has forgotten them {level.mean():.1%}. What "
                f"is measured here is suppression: --set {task.name}.forget_target=zero."
            )
        return scale

    def base_accuracies(self) -> tuple[float, float]:
        """The base model's forget and retain accuracy on the training examples that tuning looks at."""
        if self._base_accuracies is None:
            with self.slot.lent(BASE) as model:
                self._base_accuracies = self.training_accuracies(model)
        return self._base_accuracies

    def _objective(self) -> Objective:
        """What tuning maximises, on training examples."""
        scale, (_, base) = self.forget_scale(), self.base_accuracies()
        return lambda forget, retain: trade_off(forget, retain, base, scale)

    def _base_test(self) -> AnsweredPoint:
        """The base model's answers to the test examples of tested points."""
        if self._base_tested is None:
            with self.slot.lent(BASE) as model:
                forget, retain = (
                    right_or_wrong(model, self.encoder.encode(examples, room=model.room())) for examples in self._tested
                )
            self._base_tested = AnsweredPoint(0, forget, retain)
        return self._base_tested

    @cached_property
    def _tested(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        return answered_rows(self.scenario.data.splits, MOST_TESTED, self.config.split_seed)

    @cached_property
    def _judged(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        config = self.config
        return judged_rows(
            self.scenario.data.splits, config.forget_fraction, config.tuning.max_examples, config.split_seed
        )

    @cached_property
    def _forget(self) -> tuple[Example, ...]:
        return seen_forget_rows(self.scenario.data.splits, self.config.forget_fraction, self.config.split_seed)

    def _encoded(self, part: PartName, room: int | None) -> list[Encoded]:
        """The rows of a part; those of parts that a method does not use are never encoded for it."""
        if part == "retain":
            return self.encoder.encode(self.scenario.data.splits.train_retain, room=room)
        if part == "forget":
            return self.encoder.encode(self._forget, room=room)
        generator = random.Random(self.scenario.seed)
        generic = [generator.choice(self.config.generic_labels) for _ in self._forget]
        return self.encoder.encode(self._forget, generic, room)

    def _training_set(
        self, model: LanguageModel, method: Method, layer: int | None, virtual_tokens: int
    ) -> TrainingSet:
        """The rows that the method reads, with what the base model computes for them."""
        folder = cache_root() / "references"
        key = self.scenario.reference_key
        parts = {name: self._encoded(name, model.room(virtual_tokens)) for name in method.uses}
        references = {
            name: reference(model, parts[name], kind, folder, key, layer) for name, kind in method.references.items()
        }
        return TrainingSet(parts, references)

    @staticmethod
    def _hidden_layer(model: LanguageModel, method: Method) -> int | None:
        layer = method.hidden_layer(model.layers)
        if layer is not None and not 1 <= layer <= model.layers:
            raise UserError(
                f"{method.name} reads layer {layer}, but the model has layers 1 to {model.layers}: set its "
                "hyper-parameters accordingly."
            )
        return layer

    def _soft_prompt(self, model: LanguageModel, wanted: SoftPrompt) -> tuple[TrainablePrompt, bool]:
        """The soft prompt as it begins, and whether all rows can share it."""
        import torch

        prompt = TrainablePrompt(model.network, wanted, torch.Generator().manual_seed(self.scenario.seed))
        return prompt, can_share_prefix(model.network, prompt().detach().to(model.network.dtype))


def _steps(method: Method, data: TrainingSet) -> int:
    """Optimisation steps of a training."""
    return method.epochs * math.ceil(data.size / method.batch_size)
