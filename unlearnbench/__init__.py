"""unlearnbench: a benchmark harness for LLM unlearning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnbench.leaderboard.samples import load_samples
    from unlearnbench.notebook import load_leaderboard, run

__version__ = "0.1.0"
__all__ = ["load_leaderboard", "load_samples", "run"]

FOUND_IN = {
    "load_leaderboard": "unlearnbench.notebook",
    "load_samples": "unlearnbench.leaderboard.samples",
    "run": "unlearnbench.notebook",
}


def __getattr__(name: str) -> Any:
    """The notebook API, imported when it is first used: `import unlearnbench` itself loads nothing."""
    from importlib import import_module

    if name in FOUND_IN:
        return getattr(import_module(FOUND_IN[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
