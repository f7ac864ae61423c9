"""``unlearnbench study``: the paper's other experiments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from unlearnbench.cli import completion
from unlearnbench.cli.options import (
    Assignments,
    ConfigFile,
    DataRoot,
    Jobs,
    Models,
    Preset,
    Quiet,
    Results,
    Seeds,
    TrackingUri,
    Trials,
    merged,
    names,
    number_or_word,
    numbers,
)
from unlearnbench.config import RunConfig, build_config, preset_statement, read_file
from unlearnbench.console.say import say
from unlearnbench.errors import UserError
from unlearnbench.grid.choosing import check_names, with_own_names
from unlearnbench.plugins import registry

Name = Literal["alpha-beta", "prompt-length", "forget-size", "models", "tuning", "embedding"]
TASK, METHOD = "sst2", "spul"


def study(
    name: Annotated[Name, typer.Argument(help="Which study.")],
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
    trials: Trials = None,
    set_: Assignments = None,
    results: Results = None,
    tracking_uri: TrackingUri = None,
    jobs: Jobs = None,
    config: ConfigFile = None,
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
        "results": results,
        "tracking_uri": tracking_uri,
        "jobs": number_or_word(jobs),
    }
    if name == "tuning" and trials is not None:
        raise UserError("study tuning compares 2, 4 and 8 trials: leave --trials out.")
    given = merged(flags, set_, {"tuning": {"trials": trials}})
    raise typer.Exit(_run(name, build_config(file, given), Console(), quiet))


def _run(name: str, config: RunConfig, console: Console, quiet: bool) -> int:
    """Returns the exit code: 0, or 1 when a cell failed, or 130 after Ctrl-C."""
    known = registry()
    config, renamed = with_own_names(config, known)
    for sentence in renamed:
        say(console, sentence)
    check_names(config, known)
    from unlearnbench.console.quiet import quiet_libraries

    quiet_libraries()
    from unlearnbench.grid.display import make_display
    from unlearnbench.grid.grid import build_grid, follow
    from unlearnbench.studies import run as runs
    from unlearnbench.studies.embedding_study import only_prompted, write_embedding
    from unlearnbench.studies.points import STUDIES, Point
    from unlearnbench.tracking.store import Store

    def announce(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    announce(preset_statement(config.preset))
    if name == "embedding":
        planned = [(Point({"study": name}, config), only_prompted(build_grid(config, known)))]
    else:
        planned = runs.plan(STUDIES[name], config, known)
    store = Store(config.results, config.tracking_uri, runs.experiment(name), config.optuna_storage)
    tuned = store.tuned_seeds()
    planned = [(point, follow(cells, tuned)) for point, cells in planned]
    try:
        failed = runs.run_points(planned, store, lambda *run: make_display(console, run[0], quiet, run[1]), announce)
        for cell, reason in failed.items():
            announce(f"failed: {cell}: {reason}")
        if name == "embedding":
            written = write_embedding(planned[0][1], store)
        else:
            written = runs.write_study(STUDIES[name], planned, store)
    except KeyboardInterrupt:
        announce("interrupted; the same command continues where this study stopped.")
        return 130
    announce(next(path for path in written if path.suffix == ".md").read_text(encoding="utf-8"))
    announce(f"written: {', '.join(str(path) for path in written)}")
    return 1 if failed else 0
