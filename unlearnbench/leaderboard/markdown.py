"""Markdown tables."""

from __future__ import annotations


def escape(text: str) -> str:
    """Text that can't break a Markdown table or bring HTML along."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
