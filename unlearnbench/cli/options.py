"""Options that several commands share, and how command-line values become settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from unlearnbench.errors import UserError

SECTIONS = ("model", "base", "tuning")
Preset = Annotated[str | None, typer.Option(help="Settings to start from: quick, small or paper.")]
Models = Annotated[str | None, typer.Option(help="Short names, hub ids or folders, separated by commas.")]
Seeds = Annotated[str | None, typer.Option(help="Whole numbers separated by commas.")]
DataRoot = Annotated[
    str | None, typer.Option(envvar="UNLEARNBENCH_DATA_ROOT", help="hub, bundled, or a folder in hub layout.")
]
Trials = Annotated[int | None, typer.Option(help="Tuning trials per cell; 0 uses the defaults.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="NAME.KEY=VALUE: NAME is a task, a method, model, base or tuning.")
]
Results = Annotated[Path | None, typer.Option(help="Folder for the MLflow and Optuna stores.")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow server instead of the results folder.")]
ConfigFile = Annotated[Path | None, typer.Option(help="YAML file of settings; flags win over it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="One line per cell.")]
SCIENTIFIC = re.compile(r"[+-]?\d+\.?\d*e[+-]?\d+", re.IGNORECASE)


def names(text: str | None) -> list[str] | None:
    """A comma-separated list."""
    if text is None:
        return None
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise UserError(f"{text!r} names nothing: give one or more names, separated by commas, or all.")
    return found


def numbers(option: str, text: str | None) -> list[int] | None:
    """A comma-separated list of whole numbers from 0."""
    parts = names(text)
    if parts is None:
        return None
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UserError(f"{option} is {text!r}, but must be whole numbers from 0, separated by commas, as in 0,1,2.")
    return [int(part) for part in parts]


def fraction(option: str, text: str | None) -> tuple[int, int]:
    """Which part of how many, as ``2/8``; all of it where nothing is given."""
    if text is None:
        return 1, 1
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not found or int(found[1]) > int(found[2]):
        raise UserError(f"{option} is {text!r}, but must read I/N with I from 1 to N, as in 2/8.")
    return int(found[1]), int(found[2])


def settings(assignments: Sequence[str]) -> dict[str, Any]:
    """``NAME.KEY=VALUE`` strings as nested settings; NAME is model, base, tuning, or a task or method.

    VALUE is read as YAML, so that numbers, booleans and lists are what they look like.
    """
    nested: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        name, dot, key = path.strip().rpartition(".")
        if not (equals and dot and name and key):
            raise UserError(f"--set {assignment!r} must read NAME.KEY=VALUE, as in --set spul.learning_rate=1e-4.")
        target = nested if name in SECTIONS else nested.setdefault("set", {})
        target.setdefault(name, {})[key] = _value(text.strip())
    return nested


def merged(
    flags: Mapping[str, Any], assignments: Sequence[str] | None, sections: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Flags, assignments and flags that stand for a key of a section, as settings; what is None was not given."""
    given = {name: value for name, value in flags.items() if value is not None} | settings(assignments or [])
    for section, values in sections.items():
        set_here = {key: value for key, value in values.items() if value is not None}
        if set_here:
            given[section] = {**given.get(section, {}), **set_here}
    return given


def _value(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str) and SCIENTIFIC.fullmatch(value):
        return float(value)  # YAML 1.1 reads 1e-4 as text
    return value
