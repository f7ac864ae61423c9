"""From a user's own model and texts to an unlearned model: a grid of one method, whose model is delivered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unlearnbench.cell.cell import Cell
from unlearnbench.cell.kept_folders import kept_folder
from unlearnbench.config import dump_experiment
from unlearnbench.contract.rows import BASE
from unlearnbench.errors import UserError
from unlearnbench.grid.plan import Plan, plan_run
from unlearnbench.leaderboard.stored import entries_by_run, read_predictions
from unlearnbench.leaderboard.unlearned_card import Delivered, unlearned_card
from unlearnbench.models.brought import ADAPTER
from unlearnbench.plugins import Registry
from unlearnbench.storage.cache import filling
from unlearnbench.tracking.store import Store

if TYPE_CHECKING:
    from unlearnbench.config import RunConfig
    from unlearnbench.leaderboard.statistics import Floats


def check_output(output: Path) -> None:
    """Raises a UserError if a model can't be put there without touching what is there."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output} is there already: name a folder that does not exist, or remove it.")


def plan_unlearning(config: RunConfig, known: Registry) -> tuple[Plan, bool]:
    """The cells of the model before and after, and whether to run finished ones again, as the model was not kept."""
    config = config.model_copy(update={"keep_models": True})
    plan = plan_run(config, known, again="failed", chosen=_before_and_after)
    after = plan.cells[-1]
    if after.key in plan.todo or (plan.store.results / kept_folder(after)).is_dir():
        return plan, False
    return plan_run(config, known, again="all", chosen=_before_and_after), True


def _before_and_after(cells: Sequence[Cell]) -> Sequence[Cell]:
    return [cell for cell in cells if cell.row == BASE or cell.choice is not None]


def deliver(plan: Plan, output: Path) -> str:
    """Puts the unlearned model with its card and its settings into `output`; returns the card.

    Raises:
        UserError: the model or its predictions are gone, or `output` can't be written.
    """
    before, after = plan.cells
    runs = {entry.key: (run_id, entry) for run_id, entry in entries_by_run(plan.store).items()}
    kept = plan.store.results / kept_folder(after)
    if before.key not in runs or after.key not in runs or not kept.is_dir():
        raise UserError(f"{plan.store.results} no longer holds the unlearned model: run the same command again.")
    with filling(output) as scratch:
        shutil.copytree(kept, scratch, dirs_exist_ok=True)
        (scratch / "config.yaml").write_text(dump_experiment(after.settings), encoding="utf-8")
        right = {cell.key: _right(plan.store, runs[cell.key][0], cell) for cell in (before, after)}
        entry = runs[after.key][1]
        card = unlearned_card(_delivered(scratch, after), right[before.key], right[after.key], entry)
        (scratch / "README.md").write_text(card, encoding="utf-8")
    return card


def _delivered(folder: Path, cell: Cell) -> Delivered:
    model = cell.scenario.model
    source = f"{model.spec.name} at {model.revision}" if model.revision else f"{model.spec.name} ({model.identity})"
    if not (folder / ADAPTER).is_file():
        return Delivered(model.path, None, source)
    facts = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    return Delivered(facts["base_model_name_or_path"], facts["num_virtual_tokens"], source)


def _right(store: Store, run_id: str, cell: Cell) -> Mapping[str, Floats]:
    """By split 1 for each right answer, else 0."""
    found: dict[str, Floats] = {}
    for name, _ in cell.scenario.data.splits.items():
        predictions = read_predictions(store, run_id, name)
        if predictions is None:
            raise UserError(f"{store.results} no longer holds the predictions on {name}: run with --results elsewhere.")
        found[name] = np.array(predictions["answer"] == predictions["predicted"], float)
    return found
