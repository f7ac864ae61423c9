"""What the shell completes: names of tasks, methods, models and presets. No library is loaded for that."""

from __future__ import annotations

from collections.abc import Mapping

from unlearnbench.config import preset_names
from unlearnbench.plugins import registry
from unlearnbench.studies.points import EMBEDDING, STUDIES

Completion = list[tuple[str, str]]
EVERYTHING = {"all": "everything that is installed"}


def _listed(incomplete: str, known: Mapping[str, str]) -> Completion:
    """Completes the last of several names with commas between them; a name is given once."""
    begun, comma, last = incomplete.rpartition(",")
    given = set(begun.split(","))
    return [
        (f"{begun}{comma}{name}", text)
        for name, text in known.items()
        if name.startswith(last) and name not in given and not (begun and name in EVERYTHING)
    ]


def _described(kind: str) -> dict[str, str]:
    items = getattr(registry(), kind)
    return {name: registered.item.description for name, registered in sorted(items.items())}


def tasks(incomplete: str) -> Completion:
    """Tasks, or all."""
    return _listed(incomplete, _described("tasks") | EVERYTHING)


def methods(incomplete: str) -> Completion:
    """Methods, or all."""
    return _listed(incomplete, _described("methods") | EVERYTHING)


def models(incomplete: str) -> Completion:
    """Short names of models."""
    return _listed(incomplete, _described("models"))


def plugins(incomplete: str) -> Completion:
    """Whatever can be checked: methods, tasks, metrics, and the plugins that brought them."""
    known = _described("tasks") | _described("methods") | _described("metrics")
    known |= {
        origin.plugin: f"plugin of {origin.package}" for origin in registry().plugins if origin.plugin not in known
    }
    return _single(incomplete, known)


def task(incomplete: str) -> Completion:
    """One task."""
    return _single(incomplete, _described("tasks"))


def preset(incomplete: str) -> Completion:
    """One preset."""
    return _single(incomplete, dict.fromkeys(preset_names(), "preset"))


def study(incomplete: str) -> Completion:
    """One study."""
    known = {name: study.title for name, study in STUDIES.items()} | {EMBEDDING: "Where examples lie"}
    return _single(incomplete, known)


def _single(incomplete: str, known: Mapping[str, str]) -> Completion:
    return [(name, text) for name, text in known.items() if name.startswith(incomplete)]
