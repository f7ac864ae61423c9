"""``unlearnbench new``: a small, working package to start a plugin from."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from unlearnbench.errors import UserError
from unlearnbench.storage.whole import write_whole

app = typer.Typer(help="Write a new method's, task's or metric's package.", no_args_is_help=True)
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
Name = Annotated[
    str, typer.Argument(help="Its name: lower-case letters, digits and single hyphens, as in half-ascent.")
]
Parent = Annotated[Path, typer.Option("--in", help="Folder in which the package's folder is made.")]


@app.command()
def method(name: Name, parent: Parent = Path()) -> None:
    """Write a package with a method: source, test, README and pyproject.toml."""
    _write("method", name, parent)


@app.command()
def task(name: Name, parent: Parent = Path()) -> None:
    """Write a package with a task: source, test, README and pyproject.toml."""
    _write("task", name, parent)


@app.command()
def metric(name: Name, parent: Parent = Path()) -> None:
    """Write a package with a metric: source, test, README and pyproject.toml."""
    _write("metric", name, parent)


# What shows a new plugin at work; every installed metric is computed in every run.
RUNS = {"method": "run --methods {}", "task": "run --tasks {}", "metric": "run --tasks sst2 --methods spul"}


def _write(kind: str, name: str, parent: Path) -> None:
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} can't be the name of a {kind}: use lower-case letters, digits and single hyphens.")
    folder = parent / f"unlearnbench-{name}"
    module = name.replace("-", "_")
    words = {
        "name": name,
        "module": module,
        "Class": "".join(part.capitalize() for part in name.split("-")),
        "title": name.replace("-", " ").capitalize(),
        "version": ".".join(version("unlearnbench").split(".")[:2]),
        "kind": kind,
        "run": RUNS[kind].format(name),
    }
    templates = files("unlearnbench.templates")
    written = {
        "pyproject.toml": "pyproject.toml",
        f"{module}.py": f"{kind}.py",
        f"test_{module}.py": f"test_{kind}.py",
        "README.md": "README.md",
    }
    try:
        folder.mkdir(parents=True)
        texts = {file: (templates / f"{name}.template").read_text(encoding="utf-8") for file, name in written.items()}
        write_whole({folder / file: Template(text).substitute(words) for file, text in texts.items()})
    except FileExistsError:
        raise UserError(f"{folder} exists already: choose another name, or another place with --in.") from None
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error.strerror}): choose another place with --in.") from None
    typer.echo(f"written: {folder}\nnext: pip install -e {folder} && unlearnbench check {name}")
