"""How tables write shares."""

from __future__ import annotations


def percent(value: float) -> str:
    """A share as percent with two digits, as the paper's tables."""
    return f"{100 * value:.2f}"
