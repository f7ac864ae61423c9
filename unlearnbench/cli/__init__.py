"""The command line. Each command is a few lines; heavy imports happen inside the commands that need them."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from unlearnbench.cli import (
    check,
    compare,
    data,
    doctor,
    evaluate,
    explain,
    leaderboard,
    listing,
    new,
    reproduce,
    run,
    study,
    ui,
    unlearn,
    version,
)
from unlearnbench.errors import UserError
from unlearnbench.models.threads import wait_passively

app = typer.Typer(
    name="unlearnbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.callback()(version.main)
app.command("run")(run.run)
app.command("unlearn")(unlearn.unlearn)
app.command("evaluate")(evaluate.evaluate)
app.command("list")(listing.show_list)
app.command("doctor")(doctor.doctor)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("explain")(explain.explain)
app.command("reproduce")(reproduce.reproduce)
app.command("study")(study.study)
app.command("ui")(ui.ui)
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(data.app, name="data")
app.add_typer(new.app, name="new")


def main() -> None:
    """Entry point: a UserError, or a disk that is full, becomes one sentence and exit code 2."""
    wait_passively()
    try:
        try:
            app()
        except UserError:
            raise
        except Exception as error:
            from unlearnbench.storage.full_disk import stop_on_full_storage

            stop_on_full_storage(error)
            raise
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
