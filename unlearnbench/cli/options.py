"""Options that several commands share, and how command-line values become settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from unlearnbench.cli import completion
from unlearnbench.config import load_yaml
from unlearnbench.errors import UserError

if TYPE_CHECKING:
    from unlearnbench.grid.plan import Again

SECTIONS = ("model", "base", "tuning")
Preset = Annotated[
    str | None, typer.Option(help="Settings to start from: quick, small or paper.", autocompletion=completion.preset)
]
Models = Annotated[
    str | None,
    typer.Option(help="Short names, hub ids or folders, separated by commas.", autocompletion=completion.models),
]
Seeds = Annotated[str | None, typer.Option(help="Whole numbers separated by commas.")]
MaxTrain = Annotated[int | None, typer.Option(help="Largest size of each training split.")]
MaxTest = Annotated[int | None, typer.Option(help="Largest size of each test split.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
DataRoot = Annotated[
    str | None, typer.Option(envvar="UNLEARNBENCH_DATA_ROOT", help="hub, bundled, or a folder in hub layout.")
]
Trials = Annotated[int | None, typer.Option(help="Tuning trials per cell; 0 uses the defaults.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE, or NAME.KEY=VALUE: NAME is a task, a method, model, base or tuning."),
]
Results = Annotated[Path | None, typer.Option(help="Folder for the MLflow and Optuna stores.")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow server instead of the results folder.")]
ConfigFile = Annotated[Path | None, typer.Option(help="YAML file of settings; flags win over it.")]
Jobs = Annotated[
    str | None,
    typer.Option(help="Processes of this machine that share the cells: a number, or auto for as many as it bears."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="One line per cell.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Stop after the plan.")]
Force = Annotated[bool, typer.Option("--force", help="Run finished cells again.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run cells again that failed before.")]


def run_again(force: bool, retry_failed: bool) -> Again:
    """Which cells are run though they have ended before."""
    return "all" if force else "failed" if retry_failed else "nothing"


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
    # Python reads no more than 4,300 digits.
    if not all(re.fullmatch(r"[0-9]{1,100}", part) for part in parts):
        raise UserError(
            f"{option} is {text!r:.200}, but must be whole numbers from 0, separated by commas, as in 0,1,2."
        )
    return [int(part) for part in parts]


def number_or_word(text: str | None) -> int | str | None:
    """A whole number if it is one."""
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,100}", text) else text


def fraction(option: str, text: str | None) -> tuple[int, int]:
    """Which part of how many, as ``2/8``; all of it where nothing is given."""
    if text is None:
        return 1, 1
    found = re.fullmatch(r"([1-9][0-9]{0,99})/([1-9][0-9]{0,99})", text)
    if not found or int(found[1]) > int(found[2]):
        raise UserError(f"{option} is {text!r:.200}, but must read I/N with I from 1 to N, as in 2/8.")
    return int(found[1]), int(found[2])


def settings(assignments: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` and ``NAME.KEY=VALUE`` strings as nested settings; NAME is model, base, tuning, a task or a method.

    VALUE is read as YAML, so that numbers, booleans and lists are what they look like.
    """
    nested: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        name, dot, key = path.strip().rpartition(".")
        if not (equals and key and bool(dot) == bool(name)):
            raise UserError(
                f"--set {assignment!r} must read KEY=VALUE or NAME.KEY=VALUE, as in --set split_seed=1 or "
                "--set spul.learning_rate=1e-4."
            )
        if not name:
            nested[key] = _value(text.strip())
            continue
        target = nested if name in SECTIONS else nested.setdefault("set", {})
        target.setdefault(name, {})[key] = _value(text.strip())
    return nested


def merged(
    flags: Mapping[str, Any], assignments: Sequence[str] | None, sections: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Flags, assignments and flags that stand for a key of a section, as settings; what is None was not given.

    Raises:
        UserError: a flag and an assignment give one setting different values.
    """
    given = settings(assignments or [])
    _add(given, flags, "")
    for section, values in sections.items():
        if any(value is not None for value in values.values()):
            _add(given.setdefault(section, {}), values, f"{section}.")
    return given


def _add(given: dict[str, Any], flags: Mapping[str, Any], section: str) -> None:
    for key, value in flags.items():
        if value is None:
            continue
        if key in given and given[key] != value:
            raise UserError(
                f"--{key.replace('_', '-')} is {value}, but --set {section}{key} is {given[key]}: give one of the two."
            )
        given[key] = value


def _value(text: str) -> Any:
    try:
        return load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text
