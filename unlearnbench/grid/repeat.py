"""From the results of a leaderboard back to the configurations that run them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unlearnbench.cell.cell import Cell
from unlearnbench.config import RunConfig
from unlearnbench.console.private import FOLDER
from unlearnbench.contract.rows import BASE
from unlearnbench.data.own_task import PREFIX as OWN
from unlearnbench.errors import UserError, nearest
from unlearnbench.leaderboard.entry import Entry

# What says which cells a configuration has, beside `oracle`; all else decides what they compute.
GRID = ("tasks", "methods", "models", "seeds")
Place = tuple[str, str, str, int | None]


@dataclass(frozen=True)
class Repeat:
    """Results that one configuration runs again."""

    config: RunConfig
    entries: tuple[Entry, ...]

    def of(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells of the configuration's grid that give these results, and those whose tuned values they take."""
        wanted = {place_of(entry) for entry in self.entries}
        found = [cell for cell in cells if place_of(cell) in wanted]
        leaders = {cell.leader.key for cell in found if cell.leader is not None}
        return [cell for cell in cells if place_of(cell) in wanted or cell.key in leaders]


def place_of(one: Cell | Entry) -> Place:
    """What finds a result in the grid of its configuration."""
    identity = one.identity
    return identity.task, identity.model, identity.row, identity.subject.seed


def choose(
    entries: Sequence[Entry],
    rows: Collection[str] | None = None,
    tasks: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
) -> list[Entry]:
    """Results of some rows, tasks and seeds, with those of the base models that they start from.

    Raises:
        UserError: there are none, or a name is not in the leaderboard.
    """
    known = {
        "row": {entry.row for entry in entries},
        "task": {entry.task for entry in entries},
        "seed": {str(entry.seed) for entry in entries if entry.seed is not None},
    }
    for kind, names in (("row", rows), ("task", tasks), ("seed", [str(seed) for seed in seeds or ()])):
        for name in names or ():
            if name not in known[kind]:
                raise UserError(f"the leaderboard has no {kind} {name!r}: {nearest(name, known[kind])}")
    kept = [
        entry
        for entry in entries
        if (rows is None or entry.row in {*rows, BASE})
        and (tasks is None or entry.task in tasks)
        and (seeds is None or entry.seed is None or entry.seed in seeds)
    ]
    started = {(entry.task, entry.model, entry.seed) for entry in kept if entry.row != BASE}
    asked = rows is None or BASE in rows
    kept = [e for e in kept if asked or e.row != BASE or (e.task, e.model, e.seed) in started]
    if not kept:
        raise UserError("the leaderboard has no such results: name other rows, tasks or seeds.")
    return kept


def repeats(
    entries: Sequence[Entry], changes: Mapping[str, Any], folders: Mapping[str, Path] | None = None
) -> list[Repeat]:
    """The configurations that run the entries again, as few as possible.

    Threads and tokens of a pass that were chosen by the machine are those of then, since they decide the last digits.

    Args:
        changes: settings that win over the recorded ones, such as the results folder.
        folders: where own data and models of folders lie, by the names that results have instead of paths.

    Raises:
        UserError: an entry has no settings, or they are not valid any more.
    """
    grouped: dict[str, list[tuple[Entry, RunConfig]]] = {}
    for entry in entries:
        config = _config(entry, changes, folders or {})
        rest = config.model_dump_json(exclude={*GRID, "oracle"})
        grouped.setdefault(rest, []).append((entry, config))
    return [repeat for group in grouped.values() for repeat in _by_leader(group)]


def _found(name: str, prefix: str, folders: Mapping[str, Path]) -> str:
    """Where own data or a model of this name lies; other names as they are."""
    if not name.startswith(prefix):
        return name
    known = Path(name.removeprefix(prefix)).name
    path = next((path for given, path in folders.items() if given in (known, Path(known).stem)), None)
    if path is not None:
        return f"{prefix if prefix == OWN else ''}{path}"
    if prefix == OWN and Path(name.removeprefix(prefix)).exists():
        return name
    raise UserError(f"{name.removeprefix(prefix)!r} is not here: say with --at {known}=PATH where it lies.")


def _config(entry: Entry, changes: Mapping[str, Any], folders: Mapping[str, Path]) -> RunConfig:
    if entry.config is None:
        raise UserError(
            f"{entry.name} has no settings, so that it can't be run again: name the leaderboard.json instead of a CSV "
            "file, or `unlearnbench run` it with its config.yaml."
        )
    settings = json.loads(json.dumps({**entry.config, **changes}))
    settings["tasks"] = [_found(name, OWN, folders) for name in settings.get("tasks", ())]
    settings["models"] = [_found(name, FOLDER, folders) for name in settings.get("models", ())]
    if str(settings.get("data_root")).startswith(FOLDER):
        name = settings["data_root"].removeprefix(FOLDER)
        raise UserError(
            f"{entry.name} was made from data sets in a folder {name!r}: say with --data-root where it lies."
        )
    machine = entry.identity.machine
    if machine is not None:
        model = settings.setdefault("model", {})
        for name in ("threads", "tokens_per_pass"):
            if model.get(name) is None:
                model[name] = getattr(machine, name)
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"the settings of {entry.name} are not valid now: {where}: {first['msg']}.") from None


def _by_leader(group: Sequence[tuple[Entry, RunConfig]]) -> list[Repeat]:
    """One configuration for each seed on which others' values were found: its grid begins with that seed."""
    leaders: list[int | None] = [*dict.fromkeys(one.tuned_on for one, _ in group if one.tuned_on is not None)] or [None]
    made = []
    for leader in leaders:
        mine = [pair for pair in group if pair[0].tuned_on in (leader, None if leader == leaders[0] else leader)]
        first = mine[0][1]
        grid = {name: _joined(mine, lambda config, name=name: getattr(config, name)) for name in GRID}  # type: ignore[misc]
        seeds = grid["seeds"] or (0,)
        if leader is not None:
            seeds = (leader, *(seed for seed in seeds if seed != leader))
        oracle = any(config.oracle for _, config in mine)
        config = first.model_copy(update={**grid, "seeds": seeds, "oracle": oracle})
        made.append(Repeat(config, tuple(entry for entry, _ in mine)))
    return made


def _joined(group: Sequence[tuple[Entry, RunConfig]], part: Callable[[RunConfig], tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(name for _, config in group for name in part(config)))
