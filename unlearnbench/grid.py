"""From a configuration to the cells of a run: model x task x row x seed, each with a content hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from unlearnbench.base import base_key
from unlearnbench.cache import content_hash
from unlearnbench.config import RunConfig
from unlearnbench.data.checks import check_generic_labels
from unlearnbench.data.folder_task import PREFIX, FolderTask
from unlearnbench.data.store import TaskData, TransferData, load_task, load_transfer
from unlearnbench.errors import UserError, nearest
from unlearnbench.hyperparameters import Choice, Hyperparameter, LogUniform, declared
from unlearnbench.method import Method
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.plugins import Origin, Registered, Registry
from unlearnbench.rows import BASE, VANILLA
from unlearnbench.task import Task, TransferTask


@dataclass(frozen=True)
class MethodChoice:
    """A method with the values the configuration fixes and the ranges left to tuning, for one model.

    Attributes:
        fixed: values of all hyper-parameters that are not tuned.
        defaults: where the search starts.
        space: what is tuned.
    """

    method: type[Method]
    origin: Origin
    fixed: dict[str, bool | int | float | str]
    defaults: dict[str, bool | int | float | str]
    space: dict[str, Choice[Any] | LogUniform]

    def build(self, tuned: dict[str, Any]) -> Method:
        """The method with the fixed values and the given tuned ones."""
        return self.method(**{**self.fixed, **tuned})

    def with_values(self, tuned: dict[str, Any]) -> MethodChoice:
        """The method with these values and nothing left to tune."""
        return replace(self, fixed={**self.fixed, **tuned}, defaults={}, space={})

    @property
    def identity(self) -> dict[str, Any]:
        """What of the method decides a result."""
        return {
            "method": self.method.name,
            "package": [self.origin.package, self.origin.version],
            "fixed": self.fixed,
            "defaults": self.defaults,
            "space": {name: parameter.describe() for name, parameter in self.space.items()},
        }


@dataclass(frozen=True)
class Workplace:
    """A model on a task with a seed: everything that its cells share."""

    model: ResolvedModel
    data: TaskData
    transfer: tuple[TransferData, ...]
    seed: int
    config: RunConfig

    @property
    def name(self) -> str:
        """The workplace in a few words."""
        return f"{self.model.spec.name} / {self.data.task.name} / seed {self.seed}"

    @cached_property
    def base_key(self) -> str:
        """Content hash of the base model."""
        return base_key(self.model, self.data, self.config.base, self.config.model, self.seed)

    @property
    def evaluation_identity(self) -> dict[str, Any]:
        """What decides the metrics of given weights."""
        return {
            "model": self.model.identity,
            "data": self.data.fingerprint,
            "transfer": {data.task.name: data.fingerprint for data in self.transfer},
            "precision": [self.config.model.dtype, self.config.model.compute_dtype, self.config.model.context_length],
            "generic labels": self.config.generic_labels,
        }


@dataclass(frozen=True)
class Cell:
    """One row of a leaderboard for one seed: a workplace and what is evaluated there.

    Attributes:
        choice: the method, or None for the vanilla and the base model.
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
        """Hash of what decides which values tuning finds, but for the seed."""
        assert self.choice is not None
        place = self.workplace
        base = [place.config.base.model_dump(mode="json"), place.config.model.model_dump(mode="json")]
        tuning = place.config.tuning.model_dump(exclude={"scope", "curve_points"})
        return content_hash([place.model.identity, place.data.fingerprint, base, self.choice.identity, tuning])

    @cached_property
    def key(self) -> str:
        """Hash of everything that decides the cell's result."""
        identity: dict[str, Any] = {"row": self.row, **self.workplace.evaluation_identity}
        if self.row != VANILLA:
            identity |= {"base": self.workplace.base_key}
        if self.choice is not None:
            identity |= self.choice.identity
            identity |= {"tuning": self.workplace.config.tuning.model_dump(exclude={"scope", "curve_points"})}
            identity |= {"seed": self.workplace.seed, "tuned on": self.tuned_on}
            model = self.workplace.config.model
            identity |= {"frozen 4-bit": model.frozen_4bit, "optimiser": model.optimiser}
            if self.workplace.config.forget_fraction < 1:
                identity |= {"forget fraction": self.workplace.config.forget_fraction}
        return content_hash(identity)


def build_grid(config: RunConfig, registry: Registry) -> list[Cell]:
    """All cells of a run, in the order in which they are run.

    Raises:
        UserError: a name is unknown, a setting belongs to nothing, or data or a model can't be read.
    """
    tasks, transfers = choose_tasks(config, registry)
    methods = choose_methods(config, registry)
    _check_settings(config, registry)
    specs = [find_model(name, registry.models) for name in dict.fromkeys(config.models)]
    loaded = [load_task(task, origin, config) for task, origin in tasks]
    for data in loaded:
        check_generic_labels(data.task.name, data.task.labels, config.generic_labels)
    transfer_data = [load_transfer(task, config) for task in transfers]
    cells: list[Cell] = []
    for spec in specs:
        model = resolve(spec)
        choices = [_choice(method, model, config) for method in methods]
        for data in loaded:
            transfer = tuple(t for t in transfer_data if t.task.unlearned_on == data.task.name)
            for position, seed in enumerate(dict.fromkeys(config.seeds)):
                workplace = Workplace(model, data, transfer, seed, config)
                # The vanilla model does not depend on the seed.
                rows = [Cell(workplace, VANILLA)] if position == 0 else []
                cells += [*rows, Cell(workplace, BASE), *(Cell(workplace, c.method.name, c) for c in choices)]
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


def choose_tasks(config: RunConfig, registry: Registry) -> tuple[list[tuple[Task, Origin]], list[TransferTask]]:
    """The tasks and transfer tasks that the configuration names.

    Raises:
        UserError: a name is unknown, or a transfer task is named without the task whose models it evaluates.
    """
    names = list(registry.tasks) if "all" in config.tasks else list(dict.fromkeys(config.tasks))
    tasks: list[tuple[Task, Origin]] = []
    transfers: list[TransferTask] = []
    for name in names:
        if name.startswith(PREFIX):
            folder = FolderTask(Path(name.removeprefix(PREFIX)).expanduser())
            folder.name = f"{PREFIX}{folder.title}"
            tasks.append((folder, Origin(name, "own data", folder.identity())))
            continue
        made = make_task(registry.task(name), config)
        if isinstance(made, TransferTask):
            transfers.append(made)
        else:
            tasks.append((made, registry.tasks[name].origin))
    trained = {task.name for task, _ in tasks}
    for transfer in transfers:
        if transfer.unlearned_on not in trained:
            raise UserError(
                f"task {transfer.name!r} is a transfer task: it evaluates models unlearned on "
                f"{transfer.unlearned_on!r} and trains none of its own. Name both: "
                f"--tasks {transfer.unlearned_on},{transfer.name}."
            )
    return tasks, transfers


def make_task(task: type[Task] | type[TransferTask], config: RunConfig) -> Task | TransferTask:
    """The task with the options the configuration sets."""
    from pydantic import ValidationError

    settings = config.set.get(task.name, {})
    for name in settings:
        if name not in task.Options.model_fields:
            raise UserError(f"task {task.name} has no option {name!r}: {nearest(name, task.Options.model_fields)}")
    try:
        return task(task.Options(**settings))
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{task.name}.{option} is {first['input']!r}: {first['msg'].lower()}.") from None


def choose_methods(config: RunConfig, registry: Registry) -> list[Registered[type[Method]]]:
    """The methods that the configuration names."""
    names = list(registry.methods) if "all" in config.methods else list(dict.fromkeys(config.methods))
    return [registry.method(name) for name in names]


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
    )


def _check_settings(config: RunConfig, registry: Registry) -> None:
    """Settings must belong to something installed; those of tasks and methods that are not run are checked, too."""
    known = [*registry.tasks, *registry.methods]
    for name, settings in config.set.items():
        if name in registry.methods:
            registry.methods[name].item(**settings)
        elif name in registry.tasks:
            make_task(registry.tasks[name].item, config)
        else:
            setting = f"{name}.{next(iter(settings), '...')}"
            raise UserError(f"setting {setting}: no task or method is called {name!r}: {nearest(name, known)}")
