"""``unlearnbench study``: the paper's other experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from unlearnbench.cli import completion
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
    merged,
    names,
    number_or_word,
    numbers,
    run_again,
)
from unlearnbench.config import RunConfig, build_config, preset_statement, read_file
from unlearnbench.console.say import say
from unlearnbench.errors import UserError, nearest
from unlearnbench.grid.choosing import check_names, with_own_names
from unlearnbench.plugins import registry
from unlearnbench.studies.points import EMBEDDING, STUDIES, Point

if TYPE_CHECKING:
    from unlearnbench.grid.plan import Again

NAMES = (*STUDIES, EMBEDDING)
TASK, METHOD = "sst2", "spul"


def _known(name: str) -> str:
    if name not in NAMES:
        raise UserError(f"no study is called {name!r}: {nearest(name, NAMES)}")
    return name


def study(
    name: Annotated[
        str,
        typer.Argument(help=f"Which study: {', '.join(NAMES)}.", autocompletion=completion.study, callback=_known),
    ],
    preset: Preset = None,
    tasks: Annotated[
        str | None, typer.Option(help="Names separated by commas; default: sst2.", autocompletion=completion.tasks)
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Names separated by commas; default: spul.", autocompletion=completion.methods)
    ] = None,
    models: Models = None,
    seeds: Seeds = None,
    data_root: DataRoot = None,
    max_train: MaxTrain = None,
    max_test: MaxTest = None,
    trials: Trials = None,
    set_: Assignments = None,
    device: Device = None,
    results: Results = None,
    tracking_uri: TrackingUri = None,
    jobs: Jobs = None,
    config: ConfigFile = None,
    dry_run: DryRun = False,
    force: Force = False,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
) -> None:
    """Repeat one of the paper's studies: a table and a picture in RESULTS/studies. Finished cells are not run again."""
    file = read_file(config) if config else {}
    flags: dict[str, Any] = {
        "preset": preset,
        "tasks": names(tasks) or file.get("tasks") or [TASK],
        "methods": names(methods) or file.get("methods") or [METHOD],
        "models": names(models),
        "seeds": numbers("--seeds", seeds),
        "data_root": data_root,
        "max_train": max_train,
        "max_test": max_test,
        "results": results,
        "tracking_uri": tracking_uri,
        "jobs": number_or_word(jobs),
    }
    if name == "tuning" and trials is not None:
        raise UserError("study tuning compares 2, 4 and 8 trials: leave --trials out.")
    given = merged(flags, set_, {"tuning": {"trials": trials}, "model": {"device": device}})
    effective = build_config(file, given)
    again = run_again(force, retry_failed)
    raise typer.Exit(_run(name, effective, Console(), dry_run=dry_run, again=again, quiet=quiet))


def _run(name: str, config: RunConfig, console: Console, *, dry_run: bool, again: Again, quiet: bool) -> int:
    """Returns the exit code: 0, or 1 when a cell failed, or 130 after Ctrl-C."""
    known = registry()
    config, renamed = with_own_names(config, known)
    for sentence in renamed:
        say(console, sentence)
    check_names(config, known)
    from unlearnbench.console.quiet import quiet_libraries

    quiet_libraries()
    from unlearnbench.grid.display import duration, make_display
    from unlearnbench.grid.grid import build_grid, follow
    from unlearnbench.models.usable import usable_models
    from unlearnbench.studies import run as runs
    from unlearnbench.studies.embedding_study import only_prompted, write_embedding
    from unlearnbench.tracking.store import Store

    say(console, preset_statement(config.preset))
    config, unusable = usable_models(config, known.models)
    for model, reason in unusable.items():
        say(console, f"left out: {model}: {reason}")
    if name == EMBEDDING:
        points = [(Point({"study": name}, config), only_prompted(build_grid(config, known)))]
    else:
        points = runs.plan(STUDIES[name], config, known)
    store = Store(config.results, config.tracking_uri, runs.experiment(name), config.optuna_storage)
    tuned = store.tuned_seeds()
    points = [(point, follow(cells, tuned)) for point, cells in points]
    planned = runs.plan_points(points, store, again)
    if dry_run:
        for point, plan in planned:
            say(console, runs.statement(point, plan))
        seconds = [second for _, plan in planned for second in plan.todo.values()]
        say(console, f"{len(seconds)} cells to run in all; estimated time {duration(sum(seconds))}.")
        return 1 if unusable else 0
    try:
        failed = runs.run_points(
            planned,
            lambda *run: make_display(console, run[0], quiet, run[1]),
            lambda text: say(console, text),
            force=again == "all",
        )
        for cell, reason in failed.items():
            say(console, f"failed: {cell}: {reason}")
        if name == EMBEDDING:
            written = write_embedding(points[0][1], store)
        else:
            written = runs.write_study(STUDIES[name], points, store)
    except KeyboardInterrupt:
        say(console, "interrupted; the same command continues where this study stopped.")
        return 130
    table = next(path for path in written if path.suffix == ".md").read_text(encoding="utf-8")
    console.print(table, markup=False, highlight=False, soft_wrap=True)
    say(console, f"written: {', '.join(str(path) for path in written)}")
    return 1 if failed or unusable else 0
