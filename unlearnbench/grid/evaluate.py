"""A model that was made elsewhere as a row of a leaderboard: evaluated as every other row, and trained on nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from unlearnbench.cell.cell import Brought, Cell
from unlearnbench.config import RunConfig
from unlearnbench.contract.rows import BASE, REFERENCE_ROWS
from unlearnbench.errors import UserError
from unlearnbench.grid.plan import Plan, plan_run
from unlearnbench.identity.digest import digest
from unlearnbench.identity.ids import BaseId, HeldBaseId
from unlearnbench.leaderboard.stored import read_entries
from unlearnbench.models.brought import base_of_adapter, find_brought, is_adapter
from unlearnbench.models.resolve import find_model
from unlearnbench.plugins import NAME, Registry
from unlearnbench.storage.checksums import is_intact
from unlearnbench.tracking.store import Store


@dataclass(frozen=True)
class Named:
    """What was named on the command line.

    Attributes:
        model: a folder, a hub id, a short name, or the folder of a PEFT adapter.
        base: the model beside which it stands, and on which an adapter is put.
        row: what the leaderboard calls it.
    """

    model: str
    base: str | None
    row: str


def name_models(named: Named, known: Registry) -> Named:
    """The same with the base model that an adapter names itself, if no other was named.

    Raises:
        UserError: the row's name is taken or odd, or a model is not there.
    """
    if not NAME.fullmatch(named.row):
        raise UserError(
            f"--name {named.row!r} is not a name: use letters, digits, dots, dashes and underscores, a letter first."
        )
    if named.row in known.methods or named.row in REFERENCE_ROWS:
        raise UserError(f"--name {named.row!r} is a row of its own in every leaderboard: choose another one.")
    base = named.base
    if is_adapter(named.model):
        base = base or base_of_adapter(Path(named.model).expanduser())
    else:
        find_model(named.model, known.models)
    if base is not None:
        find_model(base, known.models)
    return replace(named, base=base)


def configured(config: RunConfig, named: Named) -> RunConfig:
    """The configuration of a grid that trains nothing: the base model as it is, else the model itself."""
    base = config.base.model_copy(update={"kind": "none"})
    # What is only evaluated is the same for every target of forgetting.
    aimless = {"oracle": False, "forget_target": "zero"}
    return config.model_copy(update={"models": (named.base or named.model,), "methods": (), "base": base, **aimless})


def plan_evaluation(config: RunConfig, known: Registry, named: Named) -> Plan:
    """The cells of the model and, if it was named and not made here, of its base model.

    Args:
        config: as `configured` makes it.
        named: as `name_models` makes it.
    """
    spec = None if named.base is None else find_model(named.base, known.models)
    found = find_brought(named.model, spec, known.models, config.model)

    def chosen(cells: Sequence[Cell]) -> Sequence[Cell]:
        return [made for cell in cells if cell.row == BASE for made in _with_brought(cell)]

    def _with_brought(base: Cell) -> list[Cell]:
        scenario = base.scenario
        here = None if spec is None else _made_here(Path(spec.location), config)
        name, start = here or (scenario.model.spec.name, None if named.base is None else scenario.held_base_id)
        own = replace(found.model, spec=replace(found.model.spec, name=name))
        cell = Cell(replace(scenario, model=own), named.row, brought=Brought(found, start))
        return [cell] if named.base is None or here else [base, cell]

    return plan_run(config, known, again="failed", chosen=chosen)


def _made_here(folder: Path, config: RunConfig) -> tuple[str, HeldBaseId] | None:
    """Name and identity of a base model of this results folder, which --keep-models has put into `folder`, as it is."""
    if not (folder / "base.json").is_file() or not is_intact(folder):
        return None
    try:
        facts = json.loads((folder / "base.json").read_text(encoding="utf-8"))["identity"]
        wanted = digest(TypeAdapter(BaseId).validate_python(facts))
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    for entry in read_entries(Store(config.results, config.tracking_uri)):
        subject = entry.identity.subject
        if isinstance(subject, HeldBaseId) and digest(subject.base) == wanted:
            return entry.model, subject
    return None
