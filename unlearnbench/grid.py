"""From a configuration to the cells of a run: model x task x row x seed, each with a content hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from unlearnbench.choosing import check_settings, choose_methods, choose_tasks
from unlearnbench.config import RunConfig
from unlearnbench.data.checks import check_generic_labels
from unlearnbench.data.own_task import PREFIX, OwnTask
from unlearnbench.data.store import TaskData, TransferData, load_task, load_transfer
from unlearnbench.hyperparameters import Choice, Hyperparameter, LogUniform, declared
from unlearnbench.identify import base_id, evaluation_ids, machine, precision, retrain_id, trained_id, transfer_ids
from unlearnbench.identity import SEED, BaseId, CellId, HeldBaseId, ModelId, RetrainId, TrainedId, digest
from unlearnbench.method import Method
from unlearnbench.metrics import Metric
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.plugins import Origin, Registered, Registry
from unlearnbench.rows import BASE, RETRAIN, VANILLA


@dataclass(frozen=True)
class MethodChoice:
    """A method with the values the configuration fixes and the ranges left to tuning, for one model.

    Attributes:
        fixed: values of all hyper-parameters that are not tuned.
        defaults: where the search starts.
        space: what is tuned.
        tunable: whether the method or the model declares anything to tune; the configuration may have fixed it.
    """

    method: type[Method]
    origin: Origin
    fixed: dict[str, bool | int | float | str]
    defaults: dict[str, bool | int | float | str]
    space: dict[str, Choice[Any] | LogUniform]
    tunable: bool

    def build(self, tuned: dict[str, Any]) -> Method:
        """The method with the fixed values and the given tuned ones."""
        return self.method(**{**self.fixed, **tuned})

    def with_values(self, tuned: dict[str, Any]) -> MethodChoice:
        """The method with these values and nothing left to tune."""
        return replace(self, fixed={**self.fixed, **tuned}, defaults={}, space={})


@dataclass(frozen=True)
class Workplace:
    """A model on a task with a seed: everything that its cells share.

    Attributes:
        metrics: registered metrics, computed on every set of rows.
        model_given: what the configuration names the model by, such as a folder's path, of which results show the name.
    """

    model: ResolvedModel
    data: TaskData
    transfer: tuple[TransferData, ...]
    seed: int
    config: RunConfig
    metrics: tuple[Registered[type[Metric]], ...] = ()
    model_given: str = ""

    @property
    def name(self) -> str:
        """The workplace in a few words."""
        return f"{self.model.spec.name} / {self.data.task.name} / seed {self.seed}"

    @cached_property
    def base_id(self) -> BaseId:
        """The base model's weights."""
        return base_id(self.model, self.data, self.config, self.seed)

    @property
    def held_base_id(self) -> HeldBaseId:
        """The base model as methods start from it."""
        return HeldBaseId(self.base_id, self.config.model.frozen_4bit)

    @property
    def retrain_id(self) -> RetrainId:
        """The model that never saw the forget set."""
        return retrain_id(self.data, self.held_base_id)

    @property
    def reference_key(self) -> str:
        """Names the model that reference values are of."""
        return digest((self.held_base_id, precision(self.model, self.config.model)))


@dataclass(frozen=True)
class Cell:
    """One row of a leaderboard for one seed: a workplace and what is evaluated there.

    Attributes:
        choice: the method, or None for a reference row.
        leader: the cell of another seed whose values this one takes; None if it is tuned itself, or not at all.
    """

    workplace: Workplace
    row: str
    choice: MethodChoice | None = None
    leader: Cell | None = None

    @property
    def name(self) -> str:
        """The cell in a few words, as the plan, logs and MLflow show it."""
        return f"{self.workplace.name} / {self.row}"

    @property
    def tuned_on(self) -> int | None:
        """The seed on which the values for all seeds are found; None if each is tuned, or nothing."""
        tuning = self.workplace.config.tuning
        if tuning.scope == "seed" or tuning.trials < 2 or self.choice is None or not self.choice.space:
            return None
        return (self.leader or self).workplace.seed

    @cached_property
    def search(self) -> str:
        """Names what decides which values tuning finds, but for the seed."""
        return digest((self.workplace.data.task.name, self.workplace.model.spec.name, self._trained(None)), (SEED,))

    def _trained(self, tuned_on: int | None) -> TrainedId:
        assert self.choice is not None
        place = self.workplace
        return trained_id(self.choice, place.model, place.data, place.config, place.held_base_id, place.seed, tuned_on)

    @cached_property
    def identity(self) -> CellId:
        """Everything that decides the cell's result."""
        place = self.workplace
        subject: ModelId | HeldBaseId | RetrainId | TrainedId
        if self.row == VANILLA:
            subject = ModelId(place.model.identity)
        elif self.row == RETRAIN:
            subject = place.retrain_id
        elif self.choice is None:
            subject = place.held_base_id
        else:
            subject = self._trained(self.tuned_on)
        return CellId(
            place.data.task.name,
            place.model.spec.name,
            self.row,
            subject,
            precision(place.model, place.config.model),
            evaluation_ids(place.data, place.config, place.metrics),
            transfer_ids(place.transfer, place.config, place.metrics),
            machine(place.config.model),
        )

    @cached_property
    def key(self) -> str:
        """Names the cell's result."""
        return self.identity.key

    @property
    def settings(self) -> RunConfig:
        """The configuration of this cell and its base model alone."""
        place = self.workplace
        task, transfers = place.data.task, [one.task.name for one in place.transfer]
        narrowed = {
            "tasks": (f"{PREFIX}{task.path}" if isinstance(task, OwnTask) else task.name, *transfers),
            "methods": () if self.choice is None else (self.row,),
            "models": (place.model_given or place.model.spec.name,),
            "seeds": tuple(dict.fromkeys(seed for seed in (self.tuned_on, place.seed) if seed is not None)),
            "oracle": self.row == RETRAIN,
        }
        return place.config.model_copy(update=narrowed)

    @property
    def training(self) -> str:
        """Names what is trained, however it is evaluated."""
        return self.identity.training


def build_grid(config: RunConfig, registry: Registry) -> list[Cell]:
    """All cells of a run, in the order in which they are run.

    Raises:
        UserError: a name is unknown, a setting belongs to nothing, or data or a model can't be read.
    """
    tasks, transfers = choose_tasks(config, registry)
    methods = choose_methods(config, registry)
    check_settings(config, registry)
    specs = [(find_model(name, registry.models), name) for name in dict.fromkeys(config.models)]
    loaded = [load_task(task, origin, config) for task, origin in tasks]
    for data in loaded:
        check_generic_labels(data.task.name, data.task.labels, config.generic_labels)
    transfer_data = [load_transfer(task, config) for task in transfers]
    metrics = tuple(registry.metrics.values())
    cells: list[Cell] = []
    for spec, model_given in specs:
        model = resolve(spec)
        choices = [_choice(method, model, config) for method in methods]
        for data in loaded:
            transfer = tuple(t for t in transfer_data if t.task.unlearned_on == data.task.name)
            for position, seed in enumerate(dict.fromkeys(config.seeds)):
                workplace = Workplace(model, data, transfer, seed, config, metrics, model_given)
                # The vanilla model does not depend on the seed, and is the base model if that is not fine-tuned.
                rows = [Cell(workplace, VANILLA)] if position == 0 and config.base.kind != "none" else []
                rows += [Cell(workplace, row) for row in ((BASE, RETRAIN) if config.oracle else (BASE,))]
                cells += [*rows, *(Cell(workplace, c.method.name, c) for c in choices)]
    return follow(cells, {})


def follow(cells: Sequence[Cell], tuned: Mapping[str, int]) -> list[Cell]:
    """The cells, those that take another seed's values with the leader that they take them from.

    Args:
        tuned: the seed for which tuning has found values before, by the cells' `search`. Without one it is the first.
    """
    leaders: dict[str, Cell] = {}
    followed: list[Cell] = []
    for cell in cells:
        alone = replace(cell, leader=None)
        if alone.tuned_on is not None:
            seed = tuned.get(alone.search, alone.workplace.seed)
            workplace = alone.workplace if seed == alone.workplace.seed else replace(alone.workplace, seed=seed)
            leader = leaders.setdefault(alone.search, replace(alone, workplace=workplace))
            if leader.workplace.seed != alone.workplace.seed:
                alone = replace(alone, leader=leader)
        followed.append(alone)
    return followed


def shard_of(cells: list[Cell], part: int, parts: int) -> list[Cell]:
    """The cells of every `parts`-th workplace, so that no two shards need the same base model.

    Seeds that take the values of another stay together with it.
    """

    def group(cell: Cell) -> tuple[int, ...]:
        place = cell.workplace
        together = place.config.tuning.scope == "grid"
        return (id(place.model), id(place.data)) if together else (id(place),)

    groups = list(dict.fromkeys(map(group, cells)))
    mine = set(groups[part - 1 :: parts])
    return [cell for cell in cells if group(cell) in mine]


def _choice(registered: Registered[type[Method]], model: ResolvedModel, config: RunConfig) -> MethodChoice:
    method = registered.item
    own = model.spec.hyperparameters.get(method.name, {})
    parameters: dict[str, Hyperparameter[Any]] = {**declared(method), **own}
    given = config.set.get(method.name, {})
    made = method(**{name: parameter.default for name, parameter in own.items()} | given)
    made.soft_prompt()  # refuses values that make none
    values = made.hyperparameters
    space = {
        name: parameter
        for name, parameter in parameters.items()
        if isinstance(parameter, Choice | LogUniform) and name not in given
    }
    return MethodChoice(
        method,
        registered.origin,
        fixed={name: value for name, value in values.items() if name not in space},
        defaults={name: parameter.default for name, parameter in space.items()},
        space=space,
        tunable=any(isinstance(parameter, Choice | LogUniform) for parameter in parameters.values()),
    )
