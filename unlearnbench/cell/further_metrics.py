"""A metric that was installed later, for cells that have finished: from stored predictions if they suffice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from unlearnbench.cell.identify import metric_ids
from unlearnbench.cell.recording import attach, metric_facts
from unlearnbench.console.safe_text import safe
from unlearnbench.contract.metrics import Metric, Predictions
from unlearnbench.errors import UserError, first_line
from unlearnbench.identity.ids import EarlierId, EvaluationId
from unlearnbench.leaderboard.entry import AddedMetric, Entry
from unlearnbench.leaderboard.sets import prefix
from unlearnbench.leaderboard.stored import entries_by_run, read_predictions
from unlearnbench.plugins import Registered
from unlearnbench.tracking.run import Record
from unlearnbench.tracking.store import KEY, RESULT, Store

if TYPE_CHECKING:
    import pandas as pd

WRITTEN, TOKENS = "written", "answer_tokens"
TOKENS_LACKING = "it reads the number of tokens of the answers, which was not stored"


@dataclass
class Added:
    """What became of the metrics in the cells of a results folder.

    Attributes:
        computed: names of the cells that have them now.
        before: how many cells had them before.
        unfinished: cells whose model has to answer again.
        lacking: why a cell could not get one, by its name.
    """

    computed: list[str] = field(default_factory=list)
    before: int = 0
    unfinished: list[Unfinished] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unfinished:
    """A cell with metrics that read more than was stored.

    Attributes:
        key: by which the cell is found so far.
        reason: what was not stored.
    """

    run_id: str
    key: str
    entry: Entry
    new: Sequence[Registered[type[Metric]]]
    reason: str


class NotStoredError(Exception):
    """A metric reads what was not stored with a result."""


class _NotStored(Sequence[int]):
    """Stands for the numbers of tokens, which results of an earlier version lack."""

    def __getitem__(self, index: object) -> NoReturn:
        raise NotStoredError(TOKENS_LACKING)

    def __len__(self) -> NoReturn:
        raise NotStoredError(TOKENS_LACKING)


def add_metrics(store: Store, metrics: Sequence[Registered[type[Metric]]]) -> Added:
    """Computes metrics for all finished cells of a store that lack them, and records them as if a run had.

    A result then has the key that a run with these metrics looks for, so that it is not run again. No model is loaded:
    `Added.unfinished` has the cells that need theirs.
    """
    found = Added()
    keys = {run.info.run_id: key for key, run in store.finished_cells().items()}
    for run_id, entry in entries_by_run(store).items():
        new = [metric for metric in metrics if not _has(entry, metric)]
        if not new:
            found.before += 1
        elif isinstance(entry.identity.subject, EarlierId):
            found.lacking[entry.name] = "it is a result of version 0.1"
            continue
        try:
            with_new = _with_metrics(entry, new, _stored(store, run_id, entry)) if new else entry
        except NotStoredError as error:
            found.unfinished.append(Unfinished(run_id, keys[run_id], entry, new, str(error)))
            continue
        record_metrics(store, run_id, keys[run_id], entry, with_new)
        found.computed += [entry.name] if new else []
    return found


def add_answered(store: Store, cell: Unfinished, predictions: Mapping[str, Predictions]) -> None:
    """Computes and records what a cell lacks from answers that its model has given again.

    Args:
        predictions: by split or transfer task.
    """
    with_new = _with_metrics(cell.entry, cell.new, predictions, loaded=True)
    record_metrics(store, cell.run_id, cell.key, cell.entry, with_new)


def _has(entry: Entry, metric: Registered[type[Metric]]) -> bool:
    evaluations = (*entry.identity.splits, *entry.identity.further)
    wanted = metric_ids([metric])
    if not wanted:
        # A built-in one is in no identity, only its numbers show that it was computed.
        return any(f"{prefix(one.name)}_{metric.item.name}" in entry.metrics for one in evaluations)
    return all(set(wanted) <= set(one.metrics) for one in evaluations)


def _stored(store: Store, run_id: str, entry: Entry) -> dict[str, Predictions]:
    """The stored predictions by split or transfer task.

    Raises:
        NotStoredError: those of one are not there.
    """
    found = {}
    for one in (*entry.identity.splits, *entry.identity.further):
        frame = read_predictions(store, run_id, one.name, (TOKENS, WRITTEN))
        if frame is None:
            raise NotStoredError(f"its predictions on {one.name} were not stored, or can't be read")
        found[one.name] = _predictions(one, frame)
    return found


def _with_metrics(
    entry: Entry,
    new: Sequence[Registered[type[Metric]]],
    predictions: Mapping[str, Predictions],
    loaded: bool = False,
) -> Entry:
    numbers = {
        f"{prefix(name)}_{metric.item.name}": _value(metric.item(), found)
        for name, found in predictions.items()
        for metric in new
    }
    added = tuple(
        AddedMetric(
            name=one.item.name,
            package=one.origin.package,
            version=one.origin.version,
            added=_now(),
            by="model" if loaded else "predictions",
        )
        for one in new
    )
    names = {metric.item.name for metric in new}
    return entry.model_copy(
        update={
            "identity": replace(
                entry.identity,
                splits=tuple(_named(one, new) for one in entry.identity.splits),
                further=tuple(_named(one, new) for one in entry.identity.further),
            ),
            "metrics": {**entry.metrics, **{name: value for name, value in numbers.items() if math.isfinite(value)}},
            "measures": {**entry.measures, **{metric.item.name: metric_facts(metric.item) for metric in new}},
            "added": (*(one for one in entry.added if one.name not in names), *added),
        }
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _named(evaluation: EvaluationId, new: Sequence[Registered[type[Metric]]]) -> EvaluationId:
    """The evaluation with these metrics, in place of other versions of them."""
    ids = {one.name: one for one in (*evaluation.metrics, *metric_ids(new))}
    return replace(evaluation, metrics=tuple(ids[name] for name in sorted(ids)))


def _predictions(one: EvaluationId, frame: pd.DataFrame) -> Predictions:
    """What metrics read, as far as it was stored."""
    return Predictions(
        list(frame["answer"]),
        list(frame["predicted"]),
        one.labels,
        one.generic_labels,
        list(frame["log_probability"]),
        [int(count) for count in frame[TOKENS]] if TOKENS in frame else _NotStored(),
        [str(text) for text in frame[WRITTEN]] if WRITTEN in frame else (),
    )


def _value(metric: Metric, predictions: Predictions) -> float:
    if metric.needs_text and not predictions.written:
        raise NotStoredError(f"{metric.name} reads what the model writes, which was not stored")
    try:
        return float(metric.compute(predictions))
    except NotStoredError as error:
        raise NotStoredError(f"{metric.name} can't be computed: {error}") from None
    except Exception as error:
        raise UserError(safe(f"metric {metric.name} failed: {type(error).__name__}: {first_line(error)}")) from None


def record_metrics(store: Store, run_id: str, old: str, before: Entry, entry: Entry) -> None:
    """Writes the result anew; whoever stops in between finishes it with the same command.

    Args:
        old: the key by which the cell is found so far; not that of `before`, if an earlier call was stopped.
    """
    record = Record(store.client, run_id, store.artifacts)
    if entry is not before:
        record.metrics({name: value for name, value in entry.metrics.items() if before.metrics.get(name) != value})
        attach(record, {RESULT: entry.model_dump_json(indent=1)})
    if old != entry.key:
        record.tags({KEY: entry.key})
