"""``unlearnbench evaluate``: a model that was made elsewhere on the leaderboard, or more numbers of finished cells."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from unlearnbench.cli.listing import print_problems
from unlearnbench.cli.options import (
    Assignments,
    ConfigFile,
    DataRoot,
    Device,
    MaxTest,
    MaxTrain,
    Preset,
    Quiet,
    Results,
    TrackingUri,
    merged,
    names,
)
from unlearnbench.config import build_config, read_file
from unlearnbench.console.say import say, say_reasons
from unlearnbench.errors import UserError, nearest
from unlearnbench.grid.choosing import check_names
from unlearnbench.plugins import registry

if TYPE_CHECKING:
    from unlearnbench.cell.further_metrics import Unfinished
    from unlearnbench.config import RunConfig
    from unlearnbench.grid.evaluate import Named
    from unlearnbench.leaderboard.entry import Entry
    from unlearnbench.plugins import Registry
    from unlearnbench.tracking.store import Store
    from unlearnbench.utility.benchmarks import Benchmark


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
    seed: Annotated[
        int, typer.Option(min=0, help="Of several models of one name, each has its own; or of --utility-examples.")
    ] = 0,
    data_root: DataRoot = None,
    max_train: MaxTrain = None,
    max_test: MaxTest = None,
    device: Device = None,
    set_: Assignments = None,
    results: Results = None,
    tracking_uri: TrackingUri = None,
    config: ConfigFile = None,
    metrics: Annotated[
        str | None, typer.Option(help="Instead of a model: metrics to compute for the finished cells, behind commas.")
    ] = None,
    utility: Annotated[
        str | None,
        typer.Option(help="Instead of a model: tasks of lm-evaluation-harness to ask the models of finished cells."),
    ] = None,
    utility_examples: Annotated[
        int | None, typer.Option(min=1, help="How many examples of each are asked, drawn with --seed; all by default.")
    ] = None,
    utility_path: Annotated[
        Path | None, typer.Option(help="Folder with tasks of your own for lm-evaluation-harness.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Put a model that was made elsewhere on the leaderboard, or add metrics to finished cells. Nothing is trained.

    A model stands in the table of results on the same rows: give the settings of the run that it is to stand beside.
    """
    for flag, asked in (("--metrics", metrics), ("--utility", utility)):
        if asked is not None and (model, task, name, base) != (None,) * 4:
            raise UserError(f"{flag} is for cells that have finished: leave out MODEL, --task, --name and --base.")
    if metrics is not None and utility is not None:
        raise UserError("--metrics and --utility are two things: call the command once for each.")
    if utility is None and (utility_examples, utility_path) != (None, None):
        raise UserError("--utility-examples and --utility-path belong to --utility: name its tasks.")
    folder = results or Path("results")
    if metrics is not None:
        raise typer.Exit(_add_metrics(names(metrics) or [], folder, tracking_uri, device, Console()))
    if utility is not None:
        store = _finished(folder, tracking_uri)
        benchmarks = _benchmarks(names(utility) or [], utility_path, utility_examples, seed)
        raise typer.Exit(_add_utility(benchmarks, store, device, Console()))
    if model is None or task is None or name is None:
        raise UserError(
            "name a model, --task and --name; or --metrics or --utility, and the results folder that is to have them."
        )
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


def _answered_again(
    store: Store, cells: list[Unfinished], known: Registry, device: str | None
) -> tuple[list[str], dict[str, str]]:
    from unlearnbench.console.quiet import quiet_libraries
    from unlearnbench.grid.answer_again import answer_again

    quiet_libraries()
    return answer_again(store, cells, known, device)


def _add_metrics(
    wanted: list[str], results: Path, tracking_uri: str | None, device: str | None, console: Console
) -> int:
    """Returns the exit code: 0, or 1 if a cell could not get them."""
    from unlearnbench.cell.further_metrics import add_metrics
    from unlearnbench.leaderboard.stored import read_entries
    from unlearnbench.tracking.store import Store

    known = registry()
    print_problems(known)
    for metric in wanted:
        if metric not in known.metrics:
            raise UserError(f"no metric is called {metric!r}: {nearest(metric, known.metrics)}")
    store = Store.existing(results, tracking_uri)
    title = ", ".join(wanted)
    added = add_metrics(store, [known.metrics[metric] for metric in wanted])
    computed, lacking, loaded = added.computed, dict(added.lacking), "no model was loaded"
    if added.unfinished:
        what = f"{len(added.unfinished)} cells need their models for {title}: {added.unfinished[0].reason}"
        say(console, f"{what}. They are loaded one after the other; nothing is trained.")
        answered, unanswered = _answered_again(store, added.unfinished, known, device)
        computed, lacking, loaded = [*computed, *answered], lacking | unanswered, f"{len(answered)} models were loaded"
    say(console, f"{len(computed)} cells have {title} now, {added.before} had it before; {loaded}.")
    say_reasons(console, "left out", lacking)
    _write(console, store, read_entries(store))
    return 1 if lacking else 0


def _finished(results: Path, tracking_uri: str | None) -> Store:
    from unlearnbench.console.quiet import quiet_libraries

    # Before MLflow or the harness imports what shows progress of its own.
    quiet_libraries()
    from unlearnbench.tracking.store import Store

    return Store.existing(results, tracking_uri)


def _benchmarks(wanted: list[str], folder: Path | None, examples: int | None, seed: int) -> list[Benchmark]:
    if find_spec("lm_eval") is None:
        raise UserError(
            '--utility needs lm-evaluation-harness: in the checkout of unlearnbench, `pip install -e ".[lm-eval]"`.'
        )
    from unlearnbench.utility.benchmarks import find_benchmarks

    return find_benchmarks(wanted, folder, examples, seed)


def _add_utility(benchmarks: list[Benchmark], store: Store, device: str | None, console: Console) -> int:
    """Returns the exit code: 0, 1 if a cell's model could not be asked, or 130 after Ctrl-C."""
    from unlearnbench.leaderboard.stored import read_entries
    from unlearnbench.storage.cache import check_cache
    from unlearnbench.utility.add import ask, plan_utility

    check_cache()
    known = registry()
    print_problems(known)
    plan = plan_utility(store, benchmarks, known, device)
    if plan.lacking and not plan.asking and not plan.before:
        cell, reason = next(iter(plan.lacking.items()))
        raise UserError(f"no cell of {store.results} has a model that can be asked; {cell}: {reason.rstrip('.')}.")
    what = ", ".join(map(str, benchmarks))
    say(console, f"{len(plan.asking)} cells to ask {what}; {plan.models} models to load, nothing is trained.")
    try:
        ask(store, plan, lambda cell: say(console, f"asked: {cell}"))
    except KeyboardInterrupt:
        console.print("interrupted; the same command continues where it stopped.")
        return 130
    say(console, f"{len(plan.asking)} cells have {what} now, {plan.before} had it before.")
    say_reasons(console, "left out", plan.lacking)
    _write(console, store, read_entries(store))
    return 1 if plan.lacking else 0


def _show(console: Console, store: Store, key: str) -> None:
    """Prints the tables in which the result stands, and writes the leaderboard of the folder."""
    from unlearnbench.leaderboard.blocks import build_blocks
    from unlearnbench.leaderboard.render import to_terminal
    from unlearnbench.leaderboard.stored import read_entries

    entries = read_entries(store)
    for block in build_blocks(entries):
        if any(entry.key == key for entry in block.entries):
            for table in to_terminal(block, console.width):
                console.print(table)
    if entries:
        _write(console, store, entries)


def _write(console: Console, store: Store, entries: list[Entry]) -> None:
    """Writes the leaderboard of the folder anew."""
    from unlearnbench.leaderboard.write import write_leaderboard

    written = write_leaderboard(entries, store.results, failed=list(store.failed_cells().values()))
    say(console, f"leaderboard of {store.results}: {', '.join(path.name for path in written)}")
