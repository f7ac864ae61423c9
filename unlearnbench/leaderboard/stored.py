"""From the MLflow store to the entries of a leaderboard."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unlearnbench.console.safe_text import printable, safe
from unlearnbench.contract.rows import BASE, REFERENCE_ROWS
from unlearnbench.identity.digest import digest
from unlearnbench.leaderboard.entry import SPLITS, Entry
from unlearnbench.leaderboard.leaks import FORGET, kept
from unlearnbench.leaderboard.preview import ExamplePreview
from unlearnbench.leaderboard.sets import evaluated
from unlearnbench.tracking.store import RESULT, Store

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)
SHOWN_PER_SPLIT = 3
LONGEST_SHOWN = 300
# The columns of stored predictions and their types.
PREDICTIONS = {"text": "str", "group": "str", "answer": "str", "predicted": "str", "log_probability": "float64"}


def read_entries(store: Store) -> list[Entry]:
    """An entry for each finished cell, oldest first; one whose file is missing or broken is left out with a warning."""
    return list(entries_by_run(store).values())


def entries_by_run(store: Store) -> dict[str, Entry]:
    """Like `read_entries`, by the id of the run that holds them."""
    found = {run.info.run_id: _read(store, run.info.run_id) for run in store.finished_cells().values()}
    return {run_id: _with_probabilities(store, run_id, entry) for run_id, entry in found.items() if entry is not None}


def _with_probabilities(store: Store, run_id: str, entry: Entry) -> Entry:
    """The entry, with log-probabilities from the stored predictions if it is older than they are in entries."""
    frame = None if entry.log_probabilities else read_predictions(store, run_id, FORGET)
    if frame is None or len(frame) != len(entry.right.get(FORGET, "")):
        return entry
    return entry.model_copy(update={"log_probabilities": kept(frame.log_probability.tolist())})


def _read(store: Store, run_id: str) -> Entry | None:
    file = store.artifacts.find(run_id, RESULT)
    try:
        if file is None:
            raise ValueError(f"it has no {RESULT}")
        return Entry.model_validate(_plain(json.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        # Somebody else's run, or a damaged one: the others are as good as before.
        logger.warning(safe(f"MLflow run {run_id} is left out, as it is not a result: {error!r:.300}"))
        return None


def _plain(value: Any) -> Any:
    """The value without text that a terminal would obey."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(name)): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def read_examples(store: Store) -> dict[str, list[ExamplePreview]]:
    """A few test examples of every method's cell with the base model's answer and its own, by cell key."""
    entries = entries_by_run(store)
    bases = {_place(entry): run_id for run_id, entry in entries.items() if entry.row == BASE}
    return {
        entry.key: _shown(store, entry, bases[_place(entry)], run_id)
        for run_id, entry in entries.items()
        if entry.row not in REFERENCE_ROWS and _place(entry) in bases
    }


def _place(entry: Entry) -> str:
    """With its seed, the identity of the table of its references is that of the base model."""
    return digest((entry.identity.references, entry.seed))


def _shown(store: Store, entry: Entry, base: str, run_id: str) -> list[ExamplePreview]:
    shown = []
    for split in evaluated(entry):
        if split in SPLITS[:2]:
            continue
        before, after = read_predictions(store, base, split), read_predictions(store, run_id, split)
        if before is None or after is None or len(before) != len(after):
            continue
        step = max(1, len(after) // SHOWN_PER_SPLIT)
        for index in range(0, len(after), step)[:SHOWN_PER_SPLIT]:
            row = after.iloc[index]
            text = row.text if len(row.text) <= LONGEST_SHOWN else f"{row.text[:LONGEST_SHOWN]} …"
            shown.append(
                ExamplePreview(split.replace("_", " "), text, row.answer, before.predicted[index], row.predicted)
            )
    return shown


def read_predictions(store: Store, run_id: str, name: str, further: Sequence[str] = ()) -> pd.DataFrame | None:
    """The single predictions of a split or transfer task; None if they were not stored or can't be read.

    Args:
        further: columns that are read, too, if they were stored.

    Returns:
        Columns text, group, answer, predicted (all text) and log_probability, a line for each row in the data's order.
    """
    import pandas as pd

    file = store.artifacts.find(run_id, f"predictions/{name}.parquet")
    if file is None:
        return None
    try:
        frame = pd.read_parquet(file, columns=None if further else list(PREDICTIONS))
        return frame[[*PREDICTIONS, *(name for name in further if name in frame)]].astype(PREDICTIONS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning(safe(f"{file} is left out, as it does not hold predictions: {error!r:.300}"))
        return None
