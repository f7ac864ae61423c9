"""Sentences on a console, as they are."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from unlearnbench.console.safe_text import safe


def say(console: Console, text: str) -> None:
    """Prints a line that holds names from elsewhere: nothing in it is markup, a control character or a secret."""
    console.print(safe(text), markup=False, highlight=False, soft_wrap=True)


def say_reasons(console: Console, what: str, reasons: Mapping[str, str]) -> None:
    """Prints what became of cells, and why, by their names; many have one reason in common."""
    named: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        named.setdefault(reason, []).append(name)
    for reason, names in named.items():
        more = f" and {len(names) - 1} more" if names[1:] else ""
        say(console, f"{what}: {names[0]}{more}: {reason}")
