"""From a configuration to the cells of a run: model x task x row x seed, each with a content hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from unlearnbench.cell.cell import Cell, Scenario
from unlearnbench.cell.identify import forget_target
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.config import RunConfig
from unlearnbench.contract.hyperparameters import Choice, Hyperparameter, LogUniform, declared, over
from unlearnbench.contract.method import Method
from unlearnbench.contract.rows import VANILLA
from unlearnbench.contract.task import Task
from unlearnbench.data.checks import check_generic_labels
from unlearnbench.data.store import load_task, load_transfer
from unlearnbench.errors import UserError
from unlearnbench.grid.choosing import EVERY_METHOD, check_settings, choose_methods, choose_tasks
from unlearnbench.hookspecs import PROJECT
from unlearnbench.models.loading import model_size
from unlearnbench.models.ranges import Trained, range_by_size
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.plugins import Registered, Registry


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
        _check_target(data.task, config)
    transfer_data = [load_transfer(task, config) for task in transfers]
    metrics = tuple(registry.metrics.values())
    cells: list[Cell] = []
    for spec, model_given in specs:
        model = resolve(spec)
        choices = [_choice(method, model, config) for method in methods]
        for data in loaded:
            transfer = tuple(t for t in transfer_data if t.task.unlearned_on == data.task.name)
            for position, seed in enumerate(dict.fromkeys(config.seeds)):
                scenario = Scenario(model, data, transfer, seed, config, metrics, model_given)
                # The vanilla model does not depend on the seed, and is the base model if that is not fine-tuned.
                rows = [Cell(scenario, VANILLA)] if position == 0 and config.base.kind != "none" else []
                rows += [Cell(scenario, row) for row in scenario.reference_rows]
                cells += [*rows, *(Cell(scenario, c.method.name, c) for c in choices)]
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
            seed = tuned.get(alone.search, alone.scenario.seed)
            scenario = alone.scenario if seed == alone.scenario.seed else replace(alone.scenario, seed=seed)
            leader = leaders.setdefault(alone.search, replace(alone, scenario=scenario))
            if leader.scenario.seed != alone.scenario.seed:
                alone = replace(alone, leader=leader)
        followed.append(alone)
    return followed


def _check_target(task: Task, config: RunConfig) -> None:
    """Raises a UserError for a target that says nothing about the task, or can't be had."""
    target = forget_target(task, config)
    if target == "oracle" and config.base.kind == "none":
        raise UserError(
            f"task {task.name} has forget_target 'oracle', but base.kind is none: a model that is taken as it is has "
            "no recipe for the retain set; set base.kind to lora, qlora or full, or forget_target to chance or zero."
        )
    if target == "chance" and not task.labels:
        raise UserError(
            f"task {task.name} has no labels to guess from, so its forget_target can't be 'chance': set it to oracle "
            f"or zero (--set {task.name}.forget_target=oracle)."
        )


def shard_of(cells: list[Cell], part: int, parts: int) -> list[Cell]:
    """The cells of every `parts`-th scenario, so that no two shards need the same base model.

    Seeds that take the values of another stay together with it.
    """

    def group(cell: Cell) -> tuple[int, ...]:
        scenario = cell.scenario
        together = scenario.config.tuning.scope == "grid"
        return (id(scenario.model), id(scenario.data)) if together else (id(scenario),)

    groups = list(dict.fromkeys(map(group, cells)))
    mine = set(groups[part - 1 :: parts])
    return [cell for cell in cells if group(cell) in mine]


def _choice(registered: Registered[type[Method]], model: ResolvedModel, config: RunConfig) -> MethodChoice:
    method = registered.item
    settings = {**config.set.get(EVERY_METHOD, {}), **config.set.get(method.name, {})}
    given = {name: value for name, value in settings.items() if not isinstance(value, tuple)}
    own = dict(model.spec.hyperparameters.get(method.name, {}))
    by_size = None if "learning_rate" in own or "learning_rate" in settings else _range(registered, given, model)
    if by_size is not None:
        own["learning_rate"] = by_size
    parameters: dict[str, Hyperparameter[Any]] = {**declared(method), **own}
    ranges = {name: over(parameters[name], value) for name, value in settings.items() if isinstance(value, tuple)}
    own |= ranges
    parameters |= ranges
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
        by_size="" if by_size is None else by_size.describe(),
    )


def _range(registered: Registered[type[Method]], given: Mapping[str, Any], model: ResolvedModel) -> LogUniform | None:
    """Learning rates by the model's size, if neither the model nor the method's author says better.

    What the built-in methods declare themselves is meant for the models of the paper.
    """
    method = registered.item
    authors_own = method.learning_rate is not Method.learning_rate and registered.origin.package != PROJECT
    if authors_own or not isinstance(declared(method)["learning_rate"], LogUniform):
        return None
    trained: Trained = "weights" if method(**given).soft_prompt() is None else "soft prompt"
    return range_by_size(model_size(model).parameters, trained)
