"""Plugin discovery. A plugin that fails is reported and left out; it never stops the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

from unlearnbench import hookspecs
from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.errors import UserError, nearest

if TYPE_CHECKING:
    from unlearnbench.contract.method import Method
    from unlearnbench.contract.metrics import Metric
    from unlearnbench.contract.model_spec import ModelSpec
    from unlearnbench.contract.task import Task, TransferTask

Item = TypeVar("Item")


# Names become parts of file names, metric names and command lines.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Origin:
    """The installed package a plugin comes from."""

    plugin: str
    package: str
    version: str


@dataclass(frozen=True)
class Registered(Generic[Item]):
    """Something a plugin registered, and where it comes from."""

    item: Item
    origin: Origin


@dataclass
class Registry:
    """Everything the installed plugins offer, by name.

    Attributes:
        problems: one sentence for each plugin or item that was left out.
    """

    tasks: dict[str, Registered[type[Task] | type[TransferTask]]] = field(default_factory=dict)
    methods: dict[str, Registered[type[Method]]] = field(default_factory=dict)
    models: dict[str, Registered[ModelSpec]] = field(default_factory=dict)
    metrics: dict[str, Registered[type[Metric]]] = field(default_factory=dict)
    plugins: list[Origin] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def task(self, name: str) -> type[Task] | type[TransferTask]:
        """The task class of that name, or a UserError that suggests the nearest."""
        return _lookup("task", name, self.tasks).item

    def method(self, name: str) -> Registered[type[Method]]:
        """The method of that name, or a UserError that suggests the nearest."""
        return _lookup("method", name, self.methods)

    def own_name(self, method: str) -> str:
        """The name by which a method is registered, given that or one that other tools have for it, in any case.

        A name that nothing is called by is returned as it is.
        """
        if method in self.methods:
            return method
        aliases = {alias.casefold(): name for name, found in self.methods.items() for alias in found.item.aliases}
        return aliases.get(method.casefold(), method)


def _lookup(kind: str, name: str, known: Mapping[str, Registered[Item]]) -> Registered[Item]:
    if name not in known:
        raise UserError(
            f"no {kind} is called {name!r}: {nearest(name, known)} `unlearnbench list {kind}s` shows what is installed."
        )
    return known[name]


def load_registry(points: list[EntryPoint]) -> Registry:
    """Imports every entry point and collects what its hooks register."""
    registry = Registry()
    for point in sorted(points, key=_builtin_first):
        package, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "?")
        origin = Origin(point.name, package, version)
        needed = _needs_other_version(point)
        if needed:
            registry.problems.append(
                f"plugin {point.name!r} of {package} {version} was left out: it needs {needed}, but "
                f"{hookspecs.PROJECT} {installed(hookspecs.PROJECT)} is installed. Upgrade that, or install another "
                f"version of {package}."
            )
            continue
        # A manager of its own for each plugin keeps a raising hook from taking the others' results with it.
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(point.load(), name=point.name)
            manager.check_pending()
            _collect(manager, origin, registry)
        except Exception as error:
            registry.problems.append(
                f"plugin {point.name!r} of {package} {version} was left out: {type(error).__name__}: {error}"
            )
        else:
            registry.plugins.append(origin)
    return registry


def _needs_other_version(point: EntryPoint) -> str | None:
    """The requirement of the plugin's package on this one that is not met, or None.

    The public API (`unlearnbench.api`, `unlearnbench.testing`, the hook specifications) has the package's version.
    """
    from packaging.requirements import Requirement

    for text in (point.dist.requires or []) if point.dist else []:
        needed = Requirement(text)
        if needed.name == hookspecs.PROJECT and not needed.specifier.contains(installed(needed.name), prereleases=True):
            return str(needed)
    return None


def _builtin_first(point: EntryPoint) -> tuple[bool, str]:
    """Where two plugins claim one name the built-in one stays, then the first by package name."""
    package = point.dist.name if point.dist else ""
    return (package != hookspecs.PROJECT, package)


def _collect(manager: pluggy.PluginManager, origin: Origin, registry: Registry) -> None:
    hooks: list[tuple[str, Callable[[], list[list[Any]]], dict[str, Registered[Any]]]] = [
        ("task", manager.hook.register_tasks, registry.tasks),
        ("method", manager.hook.register_methods, registry.methods),
        ("model", manager.hook.register_models, registry.models),
        ("metric", manager.hook.register_metrics, registry.metrics),
    ]
    found = [(kind, known, item) for kind, hook, known in hooks for items in hook() for item in items]
    for kind, known, item in found:
        name = item.name
        if not NAME.fullmatch(name):
            registry.problems.append(
                f"plugin {origin.plugin!r} of {origin.package} {origin.version} registers a {kind} called {name!r}, "
                "which was left out: names are letters, digits, dots, dashes and underscores, a letter or digit first."
            )
        elif kind == "method" and name in REFERENCE_ROWS:
            registry.problems.append(
                f"plugin {origin.plugin!r} of {origin.package} {origin.version} registers a method called {name!r}, "
                "which was left out: a row of every leaderboard is called so. Rename it."
            )
        elif name in known:
            kept = known[name].origin
            registry.problems.append(
                f"two plugins register the {kind} {name!r}: that of {kept.package} {kept.version} is used, "
                f"that of {origin.package} {origin.version} is left out. Uninstall one of them or rename it."
            )
        else:
            known[name] = Registered(item, origin)


@cache
def registry() -> Registry:
    """What is installed in this environment; read once per process."""
    return load_registry(list(entry_points(group=hookspecs.PROJECT)))
