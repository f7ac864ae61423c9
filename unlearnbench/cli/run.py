"""``unlearnbench run``: the grid from a configuration to a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from unlearnbench.cli import completion
from unlearnbench.cli.listing import print_problems
from unlearnbench.cli.options import (
    Assignments,
    ConfigFile,
    DataRoot,
    Device,
    DryRun,
    Force,
    Jobs,
    MaxTest,
    MaxTrain,
    Models,
    Preset,
    Quiet,
    Results,
    RetryFailed,
    Seeds,
    TrackingUri,
    Trials,
    fraction,
    merged,
    names,
    number_or_word,
    numbers,
    run_again,
)
from unlearnbench.config import RunConfig, build_config, dump_config, preset_statement, read_file
from unlearnbench.console.safe_text import safe
from unlearnbench.console.say import say, say_reasons
from unlearnbench.errors import UserError
from unlearnbench.grid.choosing import check_names, with_own_names
from unlearnbench.plugins import registry
from unlearnbench.storage.whole import write_whole

if TYPE_CHECKING:
    from unlearnbench.cell.cell import Cell
    from unlearnbench.grid.plan import Plan
    from unlearnbench.tracking.store import Store


def run(
    preset: Preset = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Names separated by commas, path:PATH for own data, or all.", autocompletion=completion.tasks
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Names separated by commas, or all.", autocompletion=completion.methods)
    ] = None,
    models: Models = None,
    seeds: Seeds = None,
    data_root: DataRoot = None,
    max_train: MaxTrain = None,
    max_test: MaxTest = None,
    trials: Trials = None,
    oracle: Annotated[
        bool | None,
        typer.Option("--oracle", help="Also train the base model's recipe on the retain set alone: row Retrain."),
    ] = None,
    set_: Assignments = None,
    generic_labels: Annotated[str | None, typer.Option(help="Generic labels, separated by commas.")] = None,
    on_leakage: Annotated[str | None, typer.Option(help="error, or drop-from-train.")] = None,
    device: Device = None,
    results: Results = None,
    tracking_uri: TrackingUri = None,
    optuna_storage: Annotated[str | None, typer.Option(help="Database URL for tuning studies.")] = None,
    keep_models: Annotated[
        bool | None,
        typer.Option("--keep-models", help="Keep unlearned weights, and the base model behind a soft prompt."),
    ] = None,
    config: ConfigFile = None,
    save_config: Annotated[Path | None, typer.Option(help="Write the settings in use to this file.")] = None,
    dry_run: DryRun = False,
    force: Force = False,
    retry_failed: RetryFailed = False,
    cell_timeout: Annotated[float | None, typer.Option(help="Seconds after which a cell is given up.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="I/N: only the I-th of N parts of the grid, from 1/N to N/N.")
    ] = None,
    jobs: Jobs = None,
    executor: Annotated[Literal["local", "ray"], typer.Option(help="Where cells run.")] = "local",
    ray_address: Annotated[str | None, typer.Option(help="Ray cluster; default: one on this machine.")] = None,
    gpus_per_cell: Annotated[float, typer.Option(min=0, help="With ray: GPUs a cell takes, or a share of one.")] = 0,
    open_page: Annotated[bool, typer.Option("--open", help="At the end, open the leaderboard's page.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run unlearning methods on tasks and models, and show the leaderboard."""
    flags: dict[str, Any] = {
        "preset": preset,
        "tasks": names(tasks),
        "methods": names(methods),
        "models": names(models),
        "seeds": numbers("--seeds", seeds),
        "data_root": data_root,
        "oracle": oracle,
        "max_train": max_train,
        "max_test": max_test,
        "generic_labels": names(generic_labels),
        "on_leakage": on_leakage,
        "results": results,
        "tracking_uri": tracking_uri,
        "optuna_storage": optuna_storage,
        "keep_models": keep_models,
        "cell_timeout": cell_timeout,
        "jobs": number_or_word(jobs),
    }
    given = merged(flags, set_, {"tuning": {"trials": trials}, "model": {"device": device}})
    effective = build_config(read_file(config) if config else {}, given)
    if save_config:
        try:
            write_whole({save_config: dump_config(effective)})
        except OSError as error:
            raise UserError(f"--save-config {save_config} can't be written ({error.strerror}): name another.") from None
    where = Where(fraction("--shard", shard), executor, ray_address, gpus_per_cell)
    code = _run(
        effective,
        Console(),
        where,
        dry_run=dry_run,
        force=force,
        retry_failed=retry_failed,
        open_page=open_page,
        quiet=quiet,
    )
    raise typer.Exit(code)


@dataclass(frozen=True)
class Where:
    """Where the cells of a run are computed.

    Attributes:
        part: which of how many parts of the grid.
    """

    part: tuple[int, int]
    executor: Literal["local", "ray"]
    ray_address: str | None
    gpus_per_cell: float


def check_executor(where: Where) -> None:
    """Refuses options of an executor that is not used, and one that is not installed.

    Raises:
        UserError: as said.
    """
    if where.executor == "ray":
        from unlearnbench.processes.ray import check_ray

        check_ray()
        return
    given = {"--ray-address": where.ray_address, "--gpus-per-cell": where.gpus_per_cell}
    for option, value in given.items():
        if value:
            raise UserError(f"{option} is {value}, but cells run on this machine: add --executor ray, or leave it out.")


def _run(
    config: RunConfig,
    console: Console,
    where: Where,
    *,
    dry_run: bool,
    force: bool,
    retry_failed: bool,
    open_page: bool,
    quiet: bool,
) -> int:
    """Returns the exit code: 0, or 1 when a cell failed, or 130 after Ctrl-C."""
    known = registry()
    print_problems(known)
    config, renamed = with_own_names(config, known)
    for sentence in renamed:
        say(console, sentence)
    check_names(config, known)
    check_executor(where)
    from unlearnbench.console.quiet import quiet_libraries

    quiet_libraries()
    from unlearnbench.cli.plan import plan_table
    from unlearnbench.grid.display import duration, make_display
    from unlearnbench.grid.plan import plan_run
    from unlearnbench.processes.run import run_cells
    from unlearnbench.storage.cache import check_cache

    if not quiet:
        console.print(preset_statement(config.preset), markup=False, highlight=False)
    check_cache()
    if where.executor == "ray" and not dry_run:
        from unlearnbench.processes.ray import connect, settled_there

        connect(where.ray_address, where.gpus_per_cell)
        config = config.model_copy(update={"model": settled_there(config.model, where.gpus_per_cell)})
    plan = plan_run(config, known, again=run_again(force, retry_failed), part=where.part)
    left_out = [f"left out: {name}: {reason}" for name, reason in plan.unusable.items()]
    for sentence in left_out:
        say(console, sentence)
    if not quiet:
        console.print(plan_table(plan.cells, plan.todo, plan.failed, plan.estimator))
        for sentence in _ranges(plan.cells):
            say(console, sentence)
        if promised := _promise(plan.cells):
            say(console, promised)
    processes = plan.processes.statement if where.executor == "local" else ""
    say(console, f"{plan.counts}; estimated time {duration(sum(plan.todo.values()))}{processes}.")
    if config.keep_models and (without := _kept_nothing(plan)):
        more, them = (f" and {len(without) - 1} more", "them") if without[1:] else ("", "it")
        say(console, f"--keep-models: {without[0]}{more} finished before and kept no model: --force runs {them} again.")
    if dry_run:
        return 1 if left_out else 0
    try:
        count, start = plan.processes.count, None
        if where.executor == "ray":
            from unlearnbench.processes.ray import RayWorkers, connect

            most = plan.processes.count if config.jobs != "auto" else plan.processes.most
            count = min(connect(where.ray_address, where.gpus_per_cell), most)
            start = partial(RayWorkers, gpus_per_cell=where.gpus_per_cell)
        display = make_display(console, list(plan.todo.values()), quiet, count)
        outcome = run_cells(plan.config, plan.store, plan.cells, plan.todo, display, count, force=force, start=start)
    except KeyboardInterrupt:
        console.print("interrupted; the same command continues where this run stopped.")
        return 130
    page = _show_result(console, plan.store, plan.keys, config, with_page=open_page)
    failed = plan.failed_names | outcome.failed
    say_reasons(console, "failed", failed)
    for sentence in left_out:
        say(console, sentence)
    if page is not None:
        _open(page)
    return 1 if failed or left_out else 0


def _kept_nothing(plan: Plan) -> list[str]:
    """Names of methods' cells that have finished without their model being kept."""
    from unlearnbench.cell.kept_folders import kept_folder

    return [
        cell.name
        for cell in plan.cells
        if cell.choice is not None
        and cell.key not in plan.todo
        and cell.key not in plan.failed
        and not (plan.store.results / kept_folder(cell)).is_dir()
    ]


def _ranges(cells: Sequence[Cell]) -> list[str]:
    """For each model the learning rates that are taken from its size, for want of ranges of its own."""
    found: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        if cell.choice is not None and cell.choice.by_size:
            place = cell.scenario
            of_model = found.setdefault(place.model.spec.name, {})
            if place.config.base.learning_rate is None and (recipe := place.base_id.recipe):
                of_model[f"{recipe.learning_rate:g}"] = ["base model"]
            methods = of_model.setdefault(cell.choice.by_size.partition("]")[0] + "]", [])
            methods += [cell.row] if cell.row not in methods else []
    return [
        f"Learning rates of {model}, by its size (--set METHOD.learning_rate=[LOW,HIGH] for others): "
        + "; ".join(f"{', '.join(methods)} {rates}" for rates, methods in ranges.items())
        for model, ranges in found.items()
    ]


def _promise(cells: Sequence[Cell]) -> str | None:
    """What differences the run will be able to show."""
    from unlearnbench.leaderboard.promise import promise

    splits = [cell.scenario.data.splits for cell in cells]
    return promise(
        len({cell.scenario.seed for cell in cells}),
        min(len(split) for each in splits for split in (each.test_forget, each.test_retain)),
        len({cell.row for cell in cells if cell.choice is not None}),
    )


def _show_result(console: Console, store: Store, keys: set[str], config: RunConfig, *, with_page: bool) -> Path | None:
    """Prints the tables and writes the leaderboard; returns its page, if it was asked for and there are results."""
    from unlearnbench.leaderboard.blocks import build_blocks
    from unlearnbench.leaderboard.overall import overall
    from unlearnbench.leaderboard.overall_render import overall_terminal
    from unlearnbench.leaderboard.render import to_terminal
    from unlearnbench.leaderboard.samples import answers_to_tests
    from unlearnbench.leaderboard.stored import read_entries, read_examples
    from unlearnbench.leaderboard.write import write_leaderboard

    entries = read_entries(store)
    blocks = build_blocks([entry for entry in entries if entry.key in keys])
    for block in blocks:
        for part in to_terminal(block, console.width):
            console.print(part)
    # Last, so that it is what the terminal shows.
    for table in overall(blocks):
        for part in overall_terminal(table, console.width):
            console.print(part)
    if not entries:
        return None
    written = write_leaderboard(
        entries,
        store.results,
        page=read_examples(store) if with_page else None,
        samples=answers_to_tests(store) if with_page else None,
        failed=list(store.failed_cells().values()),
    )
    names = ", ".join(path.name for path in written)
    say(console, f"leaderboard of {store.results}: {names}")
    for text in _next_steps(store, config):
        say(console, text)
    return next((path for path in written if path.suffix == ".html"), None)


def _next_steps(store: Store, config: RunConfig) -> list[str]:
    """What to look at after a run."""
    where = "" if store.results == Path("results").resolve() else f" --results {_for_a_shell(store.results)}"
    runs = f"unlearnbench ui{where}"
    if config.tracking_uri is not None:
        where += f" --tracking-uri {quote(config.tracking_uri)}"
        runs = config.tracking_uri
    return [
        "next:",
        f"  a page with charts and every row's settings: unlearnbench leaderboard --html{where}",
        f"  every run and trial in MLflow: {runs}",
        *([f"  the unlearned models: {_for_a_shell(store.results / 'models')}"] if config.keep_models else []),
    ]


def _for_a_shell(path: Path) -> str:
    """The path, from here if it lies below, quoted if need be."""
    return quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _open(page: Path) -> None:
    """Opens the leaderboard's page in the browser."""
    import webbrowser

    if not webbrowser.open(page.as_uri()):
        typer.echo(safe(f"no browser could be opened: open {page} yourself."), err=True)
