"""Which tasks, methods and models a configuration names; nothing heavy is imported to answer a wrong name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearnbench.config import RunConfig, Setting
from unlearnbench.contract.hyperparameters import Hyperparameter, declared, over
from unlearnbench.contract.method import Method
from unlearnbench.contract.rows import REFERENCE_ROWS, RETRAIN
from unlearnbench.contract.task import Task, TaskOptions, TransferTask
from unlearnbench.data.folder_task import FolderTask, find_files
from unlearnbench.data.own_task import KINDS, PREFIX, SUFFIXES, OwnTask, shown_name
from unlearnbench.data.table_task import TableTask
from unlearnbench.errors import ModelError, UserError, nearest
from unlearnbench.models.resolve import find_model
from unlearnbench.plugins import Origin, Registered, Registry

# ``--set methods.batch_size=8`` is for every method, unless something is set for it by its own name.
EVERY_METHOD = "methods"


# What a model that never saw the forget set is called elsewhere.
RETAIN_MODEL = "retain"


def with_own_names(config: RunConfig, registry: Registry) -> tuple[RunConfig, list[str]]:
    """The configuration with methods by their own names, and a sentence for each that has another tool's name."""
    given = [*config.methods, *(name for name in config.set if name not in registry.tasks)]
    own = {name: registry.own_name(name) for name in given}
    settings: dict[str, dict[str, Setting]] = {}
    # What is set by a method's own name counts more.
    for name in sorted(config.set, key=lambda name: own.get(name, name) == name):
        settings.setdefault(own.get(name, name), {}).update(config.set[name])
    others = {name: taken for name, taken in own.items() if name != taken}
    if not others:
        return config, []
    changes = {"methods": tuple(own[name] for name in config.methods), "set": settings}
    return config.model_copy(update=changes), [f"{name} is called {taken} here." for name, taken in others.items()]


def check_names(config: RunConfig, registry: Registry) -> None:
    """Refuses what can be refused without reading a row or a weight, so that it is answered at once.

    Raises:
        UserError: a name is unknown, a setting belongs to nothing or is out of its range, or a folder is not there.
    """
    for name in config.tasks:
        if name.startswith(PREFIX):
            path = _own_path(name)
            if path.is_dir():
                find_files(path)
    choose_tasks(config.model_copy(update={"tasks": tuple(_named(config))}), registry)
    choose_methods(config, registry)
    check_settings(config, registry)
    for name in config.models:
        try:
            find_model(name, registry.models)
        except ModelError:
            # One of several stops none of the others; it is reported with those that turn out to be broken later.
            if len(config.models) == 1:
                raise
    if isinstance(config.data_root, Path) and _named(config) and not config.data_root.is_dir():
        raise UserError(
            f"data root {str(config.data_root)!r} is not a folder: name one in hub layout (DIR/owner/name), hub, or "
            "bundled with --data-root."
        )


def _named(config: RunConfig) -> list[str]:
    return [name for name in config.tasks if not name.startswith(PREFIX)]


def _own_path(name: str) -> Path:
    """The folder or file of a task that is given as ``path:PATH``.

    Raises:
        UserError: there is none, or none that can be read.
    """
    path = Path(name.removeprefix(PREFIX)).expanduser()
    if path.is_dir():
        return path
    if not path.exists():
        raise UserError(
            f"task data {str(path)!r} does not exist: name a table ({KINDS}), or a folder with four of them, as "
            "--tasks path:PATH."
        )
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"task data {str(path)!r} is a file that is not read: name a table ({KINDS}), or a folder with four of "
            "them (archives are not read, unpack them first)."
        )
    return path


def _own_class(path: Path) -> type[FolderTask] | type[TableTask]:
    return FolderTask if path.is_dir() else TableTask


def _own_settings(name: str, path: Path, config: RunConfig) -> dict[str, Setting]:
    """Options of own data, which go by the name that was typed, or by the one that tables show."""
    return {**config.set.get(shown_name(path), {}), **config.set.get(name, {})}


def _own_task(name: str, config: RunConfig) -> OwnTask:
    path = _own_path(name)
    kind = _own_class(path)
    return kind(path, _options(shown_name(path), kind, _own_settings(name, path, config)))


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
            own = _own_task(name, config)
            tasks.append((own, Origin(name, "own data", own.identity())))
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
    return task(_options(task.name, task, config.set.get(task.name, {})))


def _options(name: str, task: type[Task] | type[TransferTask], settings: Mapping[str, Setting]) -> TaskOptions:
    from pydantic import ValidationError

    for option in settings:
        if option not in task.Options.model_fields:
            raise UserError(f"task {name} has no option {option!r}: {nearest(option, task.Options.model_fields)}")
    try:
        return task.Options(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{name}.{option} is {first['input']!r}: {first['msg'].lower()}.") from None


def choose_methods(config: RunConfig, registry: Registry) -> list[Registered[type[Method]]]:
    """The methods that the configuration names."""
    names = list(registry.methods) if "all" in config.methods else list(dict.fromkeys(config.methods))
    for name in names:
        if name not in registry.methods and name in (*REFERENCE_ROWS, RETAIN_MODEL):
            row = RETRAIN if name == RETAIN_MODEL else name
            raise UserError(
                f"{name!r} is not a method but the reference row {row.capitalize()}: leave it out of --methods; "
                f"{'--oracle adds it' if row == RETRAIN else 'every run has it'}."
            )
    return [registry.method(name) for name in names]


def check_settings(config: RunConfig, registry: Registry) -> None:
    """Settings must belong to something installed; those of tasks and methods that are not run are checked, too."""
    if config.oracle and config.base.kind == "none":
        raise UserError(
            "oracle is set, but base.kind is none: a model that is taken as it is has no recipe for the retain set; "
            "leave --oracle out, or set base.kind to lora, qlora or full."
        )
    if config.tuning.keep == "best" and config.tuning.curve_points == 0:
        raise UserError(
            "tuning.keep is best, but tuning.curve_points is 0, so that there is nothing to choose from: set "
            "curve_points to 1 or more, or keep to last."
        )
    own = {
        word: name for name in config.tasks if name.startswith(PREFIX) for word in (name, shown_name(_own_path(name)))
    }
    known = [*registry.tasks, *registry.methods, *own]
    for name, settings in config.set.items():
        if name in own:
            _options(name, _own_class(_own_path(own[name])), settings)
        elif name == EVERY_METHOD:
            _check_method(name, declared(Method), settings)
        elif name in registry.methods:
            method = registry.methods[name].item
            _check_method(name, declared(method), settings)
            method(**{key: value for key, value in settings.items() if not isinstance(value, tuple)})
        elif name in registry.tasks:
            make_task(registry.tasks[name].item, config)
        else:
            setting = f"{name}.{next(iter(settings), '...')}"
            raise UserError(f"setting {setting}: no task or method is called {name!r}: {nearest(name, known)}")


def _check_method(name: str, known: Mapping[str, Hyperparameter[Any]], settings: Mapping[str, Setting]) -> None:
    """Names of hyper-parameters, and ranges, that a configuration gives."""
    for key, value in settings.items():
        if key not in known:
            raise UserError(f"{name} has no hyper-parameter {key!r}: {nearest(key, known)}")
        try:
            if isinstance(value, tuple):
                over(known[key], value)
            else:
                known[key].validated(value)
        except UserError as error:
            raise UserError(f"{name}.{error}") from None
