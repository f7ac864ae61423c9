"""Pages of the site that come from the program itself: the command reference, and each method's hyper-parameters."""

from __future__ import annotations

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click

from unlearnbench.cli import app
from unlearnbench.hyperparameters import declared
from unlearnbench.plugins import registry

HYPERPARAMETERS = "<!-- hyper-parameters -->"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the command reference."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="unlearnbench")
    files.append(File.generated(config, "commands.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts the hyper-parameters where a page asks for them."""
    return markdown.replace(HYPERPARAMETERS, _hyperparameters()) if HYPERPARAMETERS in markdown else markdown


def _hyperparameters() -> str:
    lines = ["| method | hyper-parameter | declared | values | default |", "| --- | --- | --- | --- | --- |"]
    for name, registered in sorted(registry().methods.items()):
        for parameter, declaration in sorted(declared(registered.item).items()):
            facts = [f"`{name}`", f"`{parameter}`", type(declaration).__name__]
            values = declaration.describe().replace("|", "\\|")
            lines.append(f"| {' | '.join(facts)} | {values} | `{declaration.default}` |")
    return "\n".join(lines)
