"""``unlearnbench evaluate``: a model that was made elsewhere on the leaderboard, or a new metric for finished cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from unlearnbench.cli.listing import print_problems
from unlearnbench.cli.options import (
    Assignments,
    ConfigFile,
    DataRoot,
    Preset,
    Quiet,
    Results,
    TrackingUri,
    merged,
    names,
)
from unlearnbench.config import build_config, read_file
from unlearnbench.console.say import say
from unlearnbench.errors import UserError, nearest
from unlearnbench.grid.choosing import check_names
from unlearnbench.plugins import registry

if TYPE_CHECKING:
    from unlearnbench.config import RunConfig
    from unlearnbench.grid.evaluate import Named
    from unlearnbench.tracking.store import Store


def evaluate(
    model: Annotated[
        str | None, typer.Argument(help="Checkpoint (a folder or a hub id), or the folder of a PEFT adapter.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task, with its transfer tasks behind commas, or path:PATH.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of its row.")] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Model before unlearning, against which it is measured; an adapter names one."),
    ] = None,
    preset: Preset = None,
    seed: Annotated[int, typer.Option(min=0, help="Of several models of one name, each has its own.")] = 0,
    data_root: DataRoot = None,
    max_train: Annotated[int | None, typer.Option(help="Largest size of each training split.")] = None,
    max_test: Annotated[int | None, typer.Option(help="Largest size of each test split.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    set_: Assignments = None,
    results: Results = None,
    tracking_uri: TrackingUri = None,
    config: ConfigFile = None,
    metrics: Annotated[
        str | None, typer.Option(help="Instead of a model: metrics to compute for the finished cells, behind commas.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Put a model that was made elsewhere on the leaderboard, or add metrics to finished cells. Nothing is trained.

    A model stands in the table of results on the same rows: give the settings of the run that it is to stand beside.
    """
    if metrics is not None:
        if (model, task, name, base) != (None,) * 4:
            raise UserError("--metrics is for cells that have finished: leave out MODEL, --task, --name and --base.")
        raise typer.Exit(_add_metrics(names(metrics) or [], results or Path("results"), tracking_uri, Console()))
    if model is None or task is None or name is None:
        raise UserError("name a model, --task and --name; or --metrics and the results folder that is to have them.")
    from unlearnbench.grid.evaluate import Named, configured, name_models

    known = registry()
    print_problems(known)
    named = name_models(Named(model, base, name), known)
    flags = {
        "preset": preset,
        "tasks": names(task),
        "seeds": [seed],
        "data_root": data_root,
        "max_train": max_train,
        "max_test": max_test,
        "results": results,
        "tracking_uri": tracking_uri,
    }
    given = merged(flags, set_, {"model": {"device": device}})
    effective = configured(build_config(read_file(config) if config else {}, given), named)
    check_names(effective, known)
    raise typer.Exit(_run(effective, named, Console(), quiet))


def _run(config: RunConfig, named: Named, console: Console, quiet: bool) -> int:
    """Returns the exit code: 0, 1 if a model could not be evaluated, or 130 after Ctrl-C."""
    from unlearnbench.console.quiet import quiet_libraries
    from unlearnbench.grid.display import make_display
    from unlearnbench.grid.evaluate import plan_evaluation
    from unlearnbench.processes.run import run_cells
    from unlearnbench.storage.cache import check_cache

    quiet_libraries()
    check_cache()
    plan = plan_evaluation(config, registry(), named)
    try:
        display = make_display(console, list(plan.todo.values()), quiet)
        outcome = run_cells(plan.config, plan.store, plan.cells, plan.todo, display, 1)
    except KeyboardInterrupt:
        console.print("interrupted; the same command continues where it stopped.")
        return 130
    _show(console, plan.store, plan.cells[-1].key)
    for cell, reason in outcome.failed.items():
        say(console, f"failed: {cell}: {reason}")
    return 1 if outcome.failed else 0


def _add_metrics(wanted: list[str], results: Path, tracking_uri: str | None, console: Console) -> int:
    """Returns the exit code: 0, or 1 if a cell could not get them."""
    from unlearnbench.cell.further_metrics import add_metrics
    from unlearnbench.leaderboard.stored import read_entries
    from unlearnbench.leaderboard.write import write_leaderboard
    from unlearnbench.tracking.store import Store

    known = registry()
    print_problems(known)
    for metric in wanted:
        if metric not in known.metrics:
            raise UserError(f"no metric is called {metric!r}: {nearest(metric, known.metrics)}")
    store = Store.existing(results, tracking_uri)
    added = add_metrics(store, [known.metrics[metric] for metric in wanted])
    had = f"{added.before} had it before"
    say(console, f"{len(added.computed)} cells have {', '.join(wanted)} now, {had}; no model was loaded.")
    for cell, reason in added.lacking.items():
        say(console, f"left out: {cell}: {reason}")
    written = write_leaderboard(read_entries(store), store.results, failed=list(store.failed_cells().values()))
    say(console, f"leaderboard of {store.results}: {', '.join(path.name for path in written)}")
    return 1 if added.lacking else 0


def _show(console: Console, store: Store, key: str) -> None:
    """Prints the tables in which the result stands, and writes the leaderboard of the folder."""
    from unlearnbench.leaderboard.blocks import build_blocks
    from unlearnbench.leaderboard.render import to_terminal
    from unlearnbench.leaderboard.stored import read_entries
    from unlearnbench.leaderboard.write import write_leaderboard

    entries = read_entries(store)
    for block in build_blocks(entries):
        if any(entry.key == key for entry in block.entries):
            for table in to_terminal(block, console.width):
                console.print(table)
    if entries:
        written = write_leaderboard(entries, store.results, failed=list(store.failed_cells().values()))
        say(console, f"leaderboard of {store.results}: {', '.join(path.name for path in written)}")
