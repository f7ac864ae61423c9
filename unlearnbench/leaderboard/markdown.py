"""Markdown tables."""

from __future__ import annotations

from unlearnbench.console.safe_text import printable


def escape(text: str) -> str:
    """Text that can't break a Markdown table or bring HTML along."""
    return printable(text.replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")
