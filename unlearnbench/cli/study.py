"""``unlearnbench study``: the paper's other experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from unlearnbench.cli.options import names, numbers, settings
from unlearnbench.config import RunConfig, build_config, preset_statement, read_file
from unlearnbench.plugins import registry

Name = Literal["alpha-beta", "prompt-length", "forget-size", "models", "embedding"]
TASK, METHOD = "sst2", "spul"


def study(
    name: Annotated[Name, typer.Argument(help="Which study.")],
    preset: Annotated[str | None, typer.Option(help="Settings to start from: quick, small or paper.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Names separated by commas; default: sst2.")] = None,
    methods: Annotated[str | None, typer.Option(help="Names separated by commas; default: spul.")] = None,
    models: Annotated[str | None, typer.Option(help="Short names, hub ids or folders, separated by commas.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Whole numbers separated by commas.")] = None,
    data_root: Annotated[
        str | None, typer.Option(envvar="UNLEARNBENCH_DATA_ROOT", help="hub, bundled, or a folder in hub layout.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Tuning trials per cell; 0 uses the defaults.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="NAME.KEY=VALUE: NAME is a task, a method, model, base or tuning.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="Folder for the MLflow and Optuna stores.")] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow server instead of the results folder.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; flags win over it.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="One line per cell.")] = False,
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
    }
    given = {key: value for key, value in flags.items() if value is not None} | settings(set_ or [])
    if trials is not None:
        given["tuning"] = {**given.get("tuning", {}), "trials": trials}
    raise typer.Exit(_run(name, build_config(file, given), Console(), quiet))


def _run(name: str, config: RunConfig, console: Console, quiet: bool) -> int:
    """Returns the exit code: 0, or 1 when a cell failed, or 130 after Ctrl-C."""
    from unlearnbench.cli.run import quiet_libraries

    quiet_libraries()
    from unlearnbench.grid import build_grid
    from unlearnbench.reporting import make_reporter
    from unlearnbench.studies import run as runs
    from unlearnbench.studies.embedding_study import only_prompted, write_embedding
    from unlearnbench.studies.points import STUDIES, Point
    from unlearnbench.tracking import Store

    def announce(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    announce(preset_statement(config.preset))
    known = registry()
    if name == "embedding":
        planned = [(Point({"study": name}, config), only_prompted(build_grid(config, known)))]
    else:
        planned = runs.plan(STUDIES[name], config, known)
    store = Store(config.results, config.tracking_uri, runs.experiment(name), config.optuna_storage)
    try:
        failed = runs.run_points(planned, store, lambda todo: make_reporter(console, todo, quiet), announce)
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
