"""One sentence on a console, as it is."""

from __future__ import annotations

from rich.console import Console

from unlearnbench.console.safe_text import safe


def say(console: Console, text: str) -> None:
    """Prints a line that holds names from elsewhere: nothing in it is markup, a control character or a secret."""
    console.print(safe(text), markup=False, highlight=False, soft_wrap=True)
