"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unlearnbench.console.safe_text import printable


def escape(text: str) -> str:
    """Text that can't break a Markdown table or bring HTML along."""
    return printable(text.replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")


def table(alignment: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; every cell is escaped.

    Args:
        alignment: a letter for each column, l or r.
    """
    rule = ["---:" if side == "r" else "---" for side in alignment]
    cells = [[escape(text) for text in row] for row in (heads, *rows)]
    return [f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:])]
