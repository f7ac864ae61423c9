"""The settings of a cell as its result holds them, to be shared: names in place of this machine's paths.

What lies behind a name is told by its content: the result has the data's fingerprint, and its identity hashes of rows
and weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unlearnbench.cell.cell import Cell
from unlearnbench.config import LOCAL_SETTINGS
from unlearnbench.console.private import FOLDER, is_place
from unlearnbench.data.own_task import OwnTask


def shared_settings(cell: Cell) -> dict[str, Any]:
    """The settings with `folder:NAME` for folders, and `path:NAME` for own data."""
    config, scenario = cell.settings, cell.scenario
    settings = config.model_dump(mode="json", exclude=set(LOCAL_SETTINGS))
    if isinstance(config.data_root, Path):
        settings["data_root"] = _named(str(config.data_root))
    if isinstance(scenario.data.task, OwnTask):
        settings["tasks"] = [scenario.data.task.name, *settings["tasks"][1:]]
    if (
        scenario.model_given
        and scenario.model_given != scenario.model.spec.name
        and Path(scenario.model_given).expanduser().is_dir()
    ):
        settings["models"] = [_named(scenario.model_given)]
    named: dict[str, Any] = _without_places(settings)
    return named


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    return _named(value) if isinstance(value, str) and is_place(value) else value


def _named(path: str) -> str:
    return f"{FOLDER}{Path(path).expanduser().resolve().name}"
