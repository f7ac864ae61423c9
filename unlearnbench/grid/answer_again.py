"""Lets the kept models of finished cells answer their rows again, for metrics that read more than was stored."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.cell.cell import Scenario
from unlearnbench.cell.evaluation import Evaluator
from unlearnbench.cell.further_metrics import Unfinished, add_answered
from unlearnbench.cell.identify import rows_hash
from unlearnbench.cell.kept_model import KeptModels, NotKeptError, cell_settings
from unlearnbench.cell.recording import predictions_frame
from unlearnbench.console.progress import track
from unlearnbench.contract.metrics import Metric, Predictions
from unlearnbench.contract.task import Example
from unlearnbench.errors import UserError
from unlearnbench.grid.grid import build_grid
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.stored import read_predictions
from unlearnbench.plugins import Registry
from unlearnbench.tracking.run import Record
from unlearnbench.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

# Another machine rounds otherwise; more than that is another model.
LARGEST_SHARE_CHANGED = 0.02


def answer_again(
    store: Store, cells: Sequence[Unfinished], known: Registry, device: str | None
) -> tuple[list[str], dict[str, str]]:
    """Loads one model after the other, and records the metrics that its cell lacks.

    Returns:
        Names of the cells that have them now, and why the others could not get them, by name.
    """
    done: list[str] = []
    lacking: dict[str, str] = {}
    models = KeptModels(store, known, device)
    runs = {run.info.run_id: run for run in store.finished_cells().values()}
    for cell in track(cells, "answers of kept models"):
        try:
            examples = _examples(store, runs[cell.run_id], cell.entry, known)
            predictions = _answers(store, runs[cell.run_id], cell, examples, models)
        except NotKeptError as error:
            lacking[cell.entry.name] = f"{cell.reason}, and the model can't be asked: {error}"
            continue
        _store(store, cell.run_id, examples, predictions)
        add_answered(store, cell, predictions)
        done.append(cell.entry.name)
    return done, lacking


def _examples(store: Store, run: Run, entry: Entry, known: Registry) -> dict[str, Sequence[Example]]:
    """The rows on which the cell was evaluated, by split or transfer task."""
    settings = cell_settings(store, run)
    try:
        place: Scenario = build_grid(settings, known)[0].scenario
    except UserError as error:
        raise NotKeptError(f"its rows can't be read: {error}") from None
    found: dict[str, Sequence[Example]] = dict(place.data.splits.items())
    found |= {data.task.name: data.examples for data in place.transfer}
    wanted = (*entry.identity.splits, *entry.identity.further)
    for one in wanted:
        if one.name not in found or rows_hash(found[one.name]) != one.rows:
            raise NotKeptError(f"the rows of {one.name} are no longer those that it was evaluated on")
    return {one.name: found[one.name] for one in wanted}


class _Texts(Metric):
    """Makes evaluators let the model write; metrics themselves are computed where all others are."""

    name, title, description, needs_text = "texts", "Texts", "None.", True

    def compute(self, predictions: Predictions) -> float:
        return 0.0


def _answers(
    store: Store,
    run: Run,
    cell: Unfinished,
    examples: Mapping[str, Sequence[Example]],
    models: KeptModels,
) -> dict[str, Predictions]:
    model, encoder = models.find(run, cell.entry).load()
    texts = [_Texts()] if any(metric.item.needs_text for metric in cell.new) else []
    found: dict[str, Predictions] = {}
    for one in (*cell.entry.identity.splits, *cell.entry.identity.further):
        evaluator = Evaluator(encoder, one.labels, one.generic_labels, texts)
        again = evaluator.evaluate(model, examples[one.name]).predictions
        before = read_predictions(store, run.info.run_id, one.name)
        found[one.name] = again if before is None else _as_recorded(one.name, before, again)
    return found


def _as_recorded(name: str, before: pd.DataFrame, again: Predictions) -> Predictions:
    """The recorded predictions, with what was not recorded of them.

    Raises:
        NotKeptError: the model answers otherwise than was recorded of it.
    """
    recorded = list(before["predicted"])
    changed = sum(one != other for one, other in zip(recorded, again.predicted, strict=True))
    if changed > LARGEST_SHARE_CHANGED * len(recorded):
        raise NotKeptError(f"it answers {changed} of {len(recorded)} rows of {name} otherwise than was recorded")
    return replace(again, predicted=recorded, log_probabilities=list(before["log_probability"]))


def _store(
    store: Store, run_id: str, examples: Mapping[str, Sequence[Example]], predictions: Mapping[str, Predictions]
) -> None:
    """Stores the answers in place of those that lacked something, so that the next metric finds them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "predictions"
        folder.mkdir()
        for name, found in predictions.items():
            predictions_frame(examples[name], found).to_parquet(folder / f"{name}.parquet")
        Record(store.client, run_id, store.artifacts).artifacts(Path(scratch))
