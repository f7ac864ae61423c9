"""``unlearnbench compare``: two leaderboards side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from unlearnbench.console.safe_text import safe
from unlearnbench.errors import UserError
from unlearnbench.storage.whole import write_whole

Format = Literal["markdown", "csv", "json", "html"]
Source = typer.Argument(help="Results folder, leaderboard.json or .csv, or URI of an MLflow store.")


def compare(
    a: Annotated[str, Source],
    b: Annotated[str, Source],
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = "markdown",
    output: Annotated[Path | None, typer.Option(help="File to write to; default: the terminal.")] = None,
    fail_if_worse: Annotated[
        bool, typer.Option("--fail-if-worse", help="Exit with 1 if a method is worse in B, missing or not comparable.")
    ] = False,
) -> None:
    """Line two leaderboards up by task, model and method, and show what differs and how surely."""
    from unlearnbench.leaderboard import compare_render
    from unlearnbench.leaderboard.compare import compare_entries
    from unlearnbench.leaderboard.reading import read_leaderboard

    comparison = compare_entries(read_leaderboard(a)[0], read_leaderboard(b)[0])
    write = {
        "markdown": compare_render.to_markdown,
        "csv": compare_render.to_csv,
        "json": compare_render.to_json,
        "html": compare_render.to_html,
    }
    text = write[form](comparison)
    if output is None:
        typer.echo(text)
    else:
        try:
            write_whole({output: text})
        except OSError as error:
            raise UserError(f"--output {output} can't be written ({error.strerror}): name another.") from None
    if fail_if_worse and comparison.failures:
        for failure in comparison.failures:
            typer.echo(safe(f"fails: {failure}"), err=True)
        raise typer.Exit(1)
