"""``unlearnbench check``: do installed methods, tasks and metrics keep their promises?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from unlearnbench.cli import completion
from unlearnbench.errors import UserError, first_line, nearest
from unlearnbench.plugins import Origin, registry


def check(
    plugin: Annotated[
        str | None,
        typer.Argument(
            help="A method, task, metric, plugin or package; default: everything installed.",
            autocompletion=completion.plugins,
        ),
    ] = None,
    data_root: Annotated[str, typer.Option(help="Where tasks' rows come from: bundled, hub, or a folder.")] = "bundled",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what failed.")] = False,
) -> None:
    """Check methods on a tiny random model, tasks on their rows, and metrics. Exit code 1 if anything fails."""
    from unlearnbench.console.quiet import quiet_libraries

    quiet_libraries()
    from unlearnbench.config import build_config
    from unlearnbench.testing import Check, method_checks, metric_checks, task_checks

    known = registry()
    chosen = _chosen(plugin)
    options = build_config({}, {"preset": "quick"}).set
    root = data_root if data_root in ("bundled", "hub") else Path(data_root)
    checks: list[Check] = []
    for name, method in sorted(known.methods.items()):
        if chosen(name, method.origin):
            checks += method_checks(method.item)
    for name, task in sorted(known.tasks.items()):
        if chosen(name, task.origin):
            given = task.item.Options(**(options.get(name, {}) if root == "bundled" else {}))
            checks += task_checks(task.item, root, given)  # type: ignore[arg-type]
    for name, metric in sorted(known.metrics.items()):
        if chosen(name, metric.origin):
            checks += metric_checks(metric.item)
    console, failed = Console(), 0
    for one in checks:
        try:
            one()
        except Exception as error:
            failed += 1
            told = isinstance(error, AssertionError | UserError)
            reason = str(error) if told else f"{type(error).__name__}: {first_line(error)}"
            console.print(f"✗ {one}: {reason}", markup=False, highlight=False, soft_wrap=True)
        else:
            if not quiet:
                console.print(f"✓ {one}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(checks)} checks, {failed} failed", markup=False, highlight=False)
    raise typer.Exit(1 if failed else 0)


def _chosen(plugin: str | None) -> Callable[[str, Origin], bool]:
    """Whether a method, task or metric is meant, by its name and origin."""
    known = registry()
    found = [(name, item.origin) for name, item in known.methods.items()]
    found += [(name, item.origin) for name, item in known.tasks.items()]
    found += [(name, item.origin) for name, item in known.metrics.items()]
    names = {word for name, origin in found for word in (name, origin.plugin, origin.package)}
    if plugin is not None and plugin not in names:
        problem = next((text for text in known.problems if repr(plugin) in text), None)
        raise UserError(
            problem or f"no method, task, metric, plugin or package is called {plugin!r}: {nearest(plugin, names)}"
        )

    def chosen(name: str, origin: Origin) -> bool:
        return plugin is None or plugin in (name, origin.plugin, origin.package)

    return chosen
