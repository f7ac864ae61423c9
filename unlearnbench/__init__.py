"""unlearnbench: a benchmark harness for LLM unlearning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlearnbench.notebook import load_leaderboard, run

__version__ = "0.1.0"
__all__ = ["load_leaderboard", "run"]


def __getattr__(name: str) -> Any:
    """The notebook API, imported when it is first used: `import unlearnbench` itself loads nothing."""
    if name in __all__:
        from unlearnbench import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
