"""``unlearnbench list``: what is installed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unlearnbench.contract.method import Method
from unlearnbench.contract.needs import needs
from unlearnbench.contract.task import Task
from unlearnbench.plugins import Origin, Registry, registry


class Kind(StrEnum):
    """What can be listed."""

    TASKS = "tasks"
    METHODS = "methods"
    MODELS = "models"
    METRICS = "metrics"
    PLUGINS = "plugins"


@dataclass(frozen=True)
class Entry:
    """One line of a list.

    Attributes:
        target: of forgetting, for a task.
        needs: what a method needs beside the forget set.
        aliases: names that other tools have for a method.
    """

    name: str
    title: str
    origin: str
    version: str
    description: str
    target: str = ""
    needs: str = ""
    aliases: str = ""


COLUMNS = ("name", "title", "origin", "version", "description")
# What a kind has beside them.
FURTHER: dict[Kind, tuple[str, ...]] = {Kind.TASKS: ("target",), Kind.METHODS: ("needs", "aliases")}


def show_list(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the installed tasks, methods, models, metrics or plugins."""
    known = registry()
    columns = (*COLUMNS, *FURTHER.get(kind, ()))
    entries = [{column: asdict(entry)[column] for column in columns} for entry in _entries(kind, known)]
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
    else:
        table = Table()
        for column in columns:
            table.add_column(column, no_wrap=column == "name")
        for entry in entries:
            table.add_row(*map(Text, entry.values()))
        Console().print(table)
    print_problems(known)


def print_problems(known: Registry) -> None:
    """Names the plugins that were left out, on standard error."""
    for problem in known.problems:
        Console(stderr=True).print(f"warning: {problem}", markup=False, highlight=False, soft_wrap=True)


def _entries(kind: Kind, known: Registry) -> list[Entry]:
    if kind is Kind.PLUGINS:
        return [Entry(o.plugin, o.plugin, o.package, o.version, _provides(o, known)) for o in known.plugins]
    items = {
        Kind.TASKS: known.tasks,
        Kind.METHODS: known.methods,
        Kind.MODELS: known.models,
        Kind.METRICS: known.metrics,
    }
    return [
        Entry(name, r.item.title, r.origin.package, r.origin.version, r.item.description, **_further(r.item))
        for name, r in items[kind].items()  # type: ignore[attr-defined]
    ]


def _further(item: Any) -> dict[str, str]:
    """What tasks and methods declare beside their names."""
    if not isinstance(item, type):
        return {}
    if issubclass(item, Task):
        return {"target": item.forget_target}
    if issubclass(item, Method):
        return {"needs": _needs(item), "aliases": ", ".join(item.aliases)}
    return {}


def _needs(method: type[Method]) -> str:
    try:
        return needs(method()).words
    except Exception as error:
        # A plugin's own code: what is wrong with one hides none of the others.
        return f"not known ({type(error).__name__}: {error})"


def _provides(origin: Origin, known: Registry) -> str:
    groups = {"task": known.tasks, "method": known.methods, "model": known.models, "metric": known.metrics}
    found = [
        f"{kind} {name}"
        for kind, items in groups.items()
        for name, registered in items.items()  # type: ignore[attr-defined]
        if registered.origin == origin
    ]
    return ", ".join(found) or "nothing"
