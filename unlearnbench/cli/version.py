"""``unlearnbench --version``: what a report of a problem should begin with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

SHOWN = ("torch", "transformers")


def versions() -> str:
    """The package's version and those that results depend on most, in one line; nothing is imported."""
    found = [f"unlearnbench {version('unlearnbench')}", f"Python {platform.python_version()}"]
    return ", ".join([*found, *(f"{name} {_version(name)}" for name in SHOWN)])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _show(given: bool) -> None:
    if given:
        typer.echo(versions())
        raise typer.Exit


def main(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show, help="Show versions, and exit."),
    ] = False,
) -> None:
    """Benchmark LLM unlearning: tasks x methods x models, tuned, tracked, comparable."""
