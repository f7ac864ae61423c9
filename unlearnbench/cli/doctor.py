"""``unlearnbench doctor``: what this machine can run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unlearnbench.plugins import registry

STYLES = {"ok": "green", "limited": "yellow", "missing": "red"}


def doctor(
    results: Annotated[Path, typer.Option(help="Folder that results would go to.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine can run, what is missing, and the remedy. Exit code 1 if preset quick can't run."""
    from unlearnbench.console.quiet import quiet_libraries

    quiet_libraries()
    from unlearnbench.cli.diagnosis import blocks_quick_preset, examine

    findings = examine(registry(), results)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        table = Table()
        for column in ("subject", "status", "found", "remedy"):
            table.add_column(column, no_wrap=column == "subject", overflow="fold")
        for finding in findings:
            status = Text(finding.status, style=STYLES[finding.status])
            table.add_row(finding.subject, status, Text(finding.found), Text(finding.remedy))
        Console().print(table)
    raise typer.Exit(1 if any(map(blocks_quick_preset, findings)) else 0)
