"""Pages of the site that the program makes: commands, settings, methods' hyper-parameters, committed leaderboards."""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click

from unlearnbench.cli import app
from unlearnbench.cli.run import run
from unlearnbench.config import RunConfig, Section
from unlearnbench.contract.hyperparameters import declared
from unlearnbench.leaderboard.page.site import read_boards, site_files
from unlearnbench.plugins import registry

SETTINGS = """# Settings

A setting has one name. In a YAML file (`--config`) it is a key, below its section if it has one; on the command line it
is `--set NAME=VALUE`, or the flag that stands for it; in Python it is an argument of `unlearnbench.config.RunConfig`. A
flag wins over a file, a file over the preset. `unlearnbench run --save-config FILE` writes those in use. The defaults
are those without a preset; each preset sets some of them.

Options of tasks and values of methods' hyper-parameters are settings, too: `--set sst2.base_epochs=4`, and in a file
`set: {sst2: {base_epochs: 4}}` ([tasks](data.md), [methods](methods.md)).
"""
# Flags that stand for a setting of a section.
FLAGS = {"tuning.trials": "--trials", "model.device": "--device"}
HYPERPARAMETERS = "<!-- hyper-parameters -->"
CALIBRATION = "<!-- calibration -->"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the references of commands and settings, and the committed leaderboards."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="unlearnbench")
    files.append(File.generated(config, "commands.md", content=text))
    files.append(File.generated(config, "settings.md", content=settings_page()))
    for name, content in _leaderboards(Path(config.docs_dir).parent / "leaderboards").items():
        files.append(File.generated(config, f"leaderboards/{name}", content=content))
    return files


@cache
def _leaderboards(folder: Path) -> dict[str, str]:
    """The committed leaderboards as `unlearnbench leaderboard serve` shows them."""
    return site_files(read_boards(folder)[0])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts the hyper-parameters, and what the statistics were measured to hold, where a page asks for them."""
    if CALIBRATION in markdown:
        measured = Path(config.docs_dir) / "benchmark" / "calibration.md"
        markdown = markdown.replace(CALIBRATION, measured.read_text(encoding="utf-8"))
    return markdown.replace(HYPERPARAMETERS, _hyperparameters()) if HYPERPARAMETERS in markdown else markdown


def _hyperparameters() -> str:
    lines = ["| method | hyper-parameter | declared | values | default |", "| --- | --- | --- | --- | --- |"]
    for name, registered in sorted(registry().methods.items()):
        for parameter, declaration in sorted(declared(registered.item).items()):
            facts = [f"`{name}`", f"`{parameter}`", type(declaration).__name__]
            values = declaration.describe().replace("|", "\\|")
            lines.append(f"| {' | '.join(facts)} | {values} | `{declaration.default}` |")
    return "\n".join(lines)


def settings_page() -> str:
    """Every setting with its flag, type, default and meaning."""
    nested = {name: field.annotation for name, field in RunConfig.model_fields.items() if _is_section(field.annotation)}
    lines = [SETTINGS, *_settings_table("", RunConfig, leave_out={*nested, "set"})]
    for name, section in nested.items():
        lines += ["", f"## `{name}`", "", str(section.__doc__), "", *_settings_table(f"{name}.", section, set())]
    return "\n".join(lines)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _settings_table(prefix: str, section: type[Section], leave_out: set[str]) -> list[str]:
    flags = FLAGS | {name: f"--{name.replace('_', '-')}" for name in inspect.signature(run).parameters}
    lines = ["| setting | flag | default | values | meaning |", "| --- | --- | --- | --- | --- |"]
    schemas = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        if name in leave_out:
            continue
        flag = flags.get(f"{prefix}{name}")
        default = json.dumps(field.get_default(call_default_factory=True), default=str)
        facts = [
            f"`{prefix}{name}`",
            f"`{flag}`" if flag else "",
            f"`{default}`",
            _values(schemas[name]),
            field.description or "",
        ]
        lines.append(f"| {' | '.join(facts)} |")
    return lines


BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
TYPES = {"boolean": "true, false", "integer": "whole number", "number": "number", "string": "text"}


def _values(schema: dict[str, Any]) -> str:
    """What may be given, from the setting's JSON Schema."""
    if "anyOf" in schema:
        return " or ".join(_values(part) for part in schema["anyOf"] if part.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema["type"] == "array":
        return f"list of: {_values(schema['items'])}"
    bounds = " and ".join(f"{sign} {schema[name]:g}" for name, sign in BOUNDS.items() if name in schema)
    return f"{'path' if schema.get('format') == 'path' else TYPES[schema['type']]} {bounds}".strip()
