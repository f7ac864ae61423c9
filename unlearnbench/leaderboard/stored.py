"""From the MLflow store to the entries of a leaderboard."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import yaml

from unlearnbench.config import LOCAL_SETTINGS
from unlearnbench.data.folder_task import PREFIX
from unlearnbench.leaderboard.entry import SPLITS, CurvePointEntry, DataFacts, Entry, TrialEntry
from unlearnbench.leaderboard.shown import Shown
from unlearnbench.rows import BASE, VANILLA
from unlearnbench.safe_text import printable, safe
from unlearnbench.tracking import CURVE, EDGE, KEY, PRUNED, TUNED_ON, Store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

logger = logging.getLogger(__name__)
SHOWN_PER_SPLIT = 3
LONGEST_SHOWN = 300


def read_entries(store: Store) -> list[Entry]:
    """An entry for each finished cell, oldest first."""
    trials = store.trials()
    found = []
    for key, run in store.finished_cells().items():
        try:
            found.append(_entry(store, run, trials.get(key, {})))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            # Somebody else's run, or one of another version: the others are as good as before.
            logger.warning(safe(f"MLflow run {run.info.run_id} is left out, as it is not a result: {error!r}"))
    return found


def _entry(store: Store, run: Run, trials: Mapping[int, Run]) -> Entry:
    tags = _plain(run.data.tags)
    return Entry(
        key=tags[KEY],
        task=tags["task"],
        model=tags["model"],
        row=tags["row"],
        title=tags["title"],
        seed=int(tags["seed"]) if tags["seed"].isdigit() else None,
        block=tags["block"],
        preset=tags["preset"],
        trial_budget=int(tags["trials"]),
        tuned_on=int(tags[TUNED_ON]) if TUNED_ON in tags else None,
        edges=_under(EDGE, tags),
        plugin=tags["plugin"],
        recorded=datetime.fromtimestamp(run.info.start_time // 1000, UTC),
        model_revision=tags["model.revision"],
        data=DataFacts(
            source=tags["data.source"],
            fingerprint=tags["data.fingerprint"],
            sizes={name: int(size) for name, size in _under("size.", tags).items()},
        ),
        hyperparameters=_plain(run.data.params),
        metrics={printable(name): value for name, value in run.data.metrics.items() if math.isfinite(value)},
        versions=_under("version.", tags),
        hardware=_under("hardware.", tags),
        config=_config(store, run),
        right=_right(store, run),
        trials=tuple(_trial(number, trial) for number, trial in sorted(trials.items())),
    )


def _plain(texts: Mapping[str, str]) -> dict[str, str]:
    return {printable(name): printable(text) for name, text in texts.items()}


def _under(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in sorted(tags.items()) if name.startswith(prefix)}


def _config(store: Store, run: Run) -> dict[str, Any] | None:
    """The settings that run this cell (and its base model) alone."""
    file = store.artifacts.find(run.info.run_id, "config.yaml")
    if file is None:
        return None
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        return _narrowed(settings, run)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        logger.warning(safe(f"{file} is left out, as it does not hold settings: {error!r:.300}"))
        return None


def _narrowed(settings: dict[str, Any], run: Run) -> dict[str, Any]:
    """Settings of a run narrowed to one of its cells."""
    tags = run.data.tags
    row, transfers = tags["row"], [name for name in _evaluated(run) if name not in SPLITS]
    seeds = [int(tags[name]) for name in (TUNED_ON, "seed") if tags.get(name, "").isdigit()]
    narrowed = {
        "tasks": [_as_given(tags["task"], settings["tasks"]), *transfers],
        "methods": [] if row in (VANILLA, BASE) else [row],
        "models": [_as_given(tags["model"], settings["models"])],
        "seeds": list(dict.fromkeys(seeds)) or settings["seeds"][:1],
    }
    return {name: value for name, value in {**settings, **narrowed}.items() if name not in LOCAL_SETTINGS}


def _as_given(name: str, given: Sequence[str]) -> str:
    """The name as the settings have it: own data and models are recorded by the folder's name alone."""
    last = PurePath(name.removeprefix(PREFIX)).name
    return next((one for one in given if PurePath(one.removeprefix(PREFIX)).name == last), name)


def _evaluated(run: Run) -> list[str]:
    """Splits and transfer tasks that the cell was evaluated on."""
    ends = "_accuracy"
    names = [name.removesuffix(ends).removeprefix("transfer_") for name in run.data.metrics if name.endswith(ends)]
    return sorted(names)


def _right(store: Store, run: Run) -> dict[str, str]:
    """Flags of the test splits and transfer tasks; those of training splits would be large, and nothing needs them."""
    right = {}
    for name in _evaluated(run):
        if name.startswith("train_"):
            continue
        frame = _predictions(store, run, name)
        if frame is not None:
            right[name] = "".join("1" if same else "0" for same in frame["answer"] == frame["predicted"])
    return right


def _predictions(store: Store, run: Run, name: str) -> pd.DataFrame | None:
    """The single predictions of a split or transfer task; None if they were not stored or can't be read."""
    import pandas as pd

    file = store.artifacts.find(run.info.run_id, f"predictions/{name}.parquet")
    if file is None:
        return None
    try:
        return pd.read_parquet(file, columns=["text", "answer", "predicted"]).astype(str)
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning(safe(f"{file} is left out, as it does not hold predictions: {error!r:.300}"))
        return None


def _trial(number: int, run: Run) -> TrialEntry:
    values = {name: run.data.metrics.get(name) for name in ("objective", "forget_accuracy", "retain_accuracy")}
    points = json.loads(run.data.tags.get(CURVE, "[]"))
    curve = tuple(
        CurvePointEntry(step=step, forget_accuracy=forget, retain_accuracy=retain) for step, forget, retain in points
    )
    return TrialEntry(number=number, values=run.data.params, pruned=run.data.tags.get(PRUNED), curve=curve, **values)


def read_examples(store: Store) -> dict[str, list[Shown]]:
    """A few test examples of every method's cell with the base model's answer and its own, by cell key."""
    runs = store.finished_cells()
    bases = {_place(run): run for run in runs.values() if run.data.tags["row"] == BASE}
    return {
        key: _shown(store, bases[_place(run)], run)
        for key, run in runs.items()
        if run.data.tags["row"] not in (BASE, VANILLA) and _place(run) in bases
    }


def _place(run: Run) -> tuple[str, ...]:
    return tuple(run.data.tags[name] for name in ("task", "model", "block", "seed"))


def _shown(store: Store, base: Run, run: Run) -> list[Shown]:
    shown = []
    for split in _evaluated(run):
        if split.startswith("train_"):
            continue
        before, after = _predictions(store, base, split), _predictions(store, run, split)
        if before is None or after is None or len(before) != len(after):
            continue
        step = max(1, len(after) // SHOWN_PER_SPLIT)
        for index in range(0, len(after), step)[:SHOWN_PER_SPLIT]:
            row = after.iloc[index]
            text = row.text if len(row.text) <= LONGEST_SHOWN else f"{row.text[:LONGEST_SHOWN]} …"
            shown.append(Shown(split.replace("_", " "), text, row.answer, before.predicted[index], row.predicted))
    return shown
