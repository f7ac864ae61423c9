"""What is recorded of a cell beside its metrics: tags, predictions, confusion, settings."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.cell.cell import Cell
from unlearnbench.cell.evaluation import Evaluation
from unlearnbench.cell.identify import machine
from unlearnbench.cell.result import CellResult
from unlearnbench.cell.shared_settings import shared_settings
from unlearnbench.cell.tuning import Trial
from unlearnbench.config import dump_experiment
from unlearnbench.contract.metrics import Metric, Predictions, confusion_counts
from unlearnbench.contract.needs import needs
from unlearnbench.contract.rows import VANILLA
from unlearnbench.contract.task import Example
from unlearnbench.leaderboard.entry import (
    AnsweredPointEntry,
    CurvePointEntry,
    DataFacts,
    Entry,
    MetricFacts,
    NeedsEntry,
    TrialEntry,
)
from unlearnbench.leaderboard.leaks import FORGET, kept
from unlearnbench.tracking.run import Record
from unlearnbench.tracking.store import BROUGHT, KEY, RESULT, SEARCH, TRAINING, TUNED_ON

if TYPE_CHECKING:
    import pandas as pd


def cell_tags(cell: Cell) -> dict[str, str]:
    """What MLflow's pages show of a cell, and what it is found by."""
    scenario = cell.scenario
    brought = {} if cell.brought is None else {BROUGHT: cell.brought.found.given}
    tuned = {} if cell.tuned_on is None else {TUNED_ON: str(cell.tuned_on)}
    if cell.tuned_on is not None and cell.leader is None:
        tuned |= {SEARCH: cell.search}
    return {
        KEY: cell.key,
        TRAINING: cell.training,
        "model": scenario.model.spec.name,
        "model.revision": scenario.model.identity,
        "task": scenario.data.task.name,
        "row": cell.row,
        "title": _title(cell),
        "plugin": _plugin(cell),
        "seed": "any" if cell.row == VANILLA else str(scenario.seed),
        "data.fingerprint": scenario.data.fingerprint,
        "data.source": scenario.data.splits.provenance.get("data", ""),
        **tuned,
        **brought,
    }


def attach_result(
    record: Record,
    cell: Cell,
    result: CellResult,
    metrics: Mapping[str, float],
    facts: Mapping[str, str],
    curves: Mapping[int, str],
) -> None:
    """Stores the cell's result in the form that leaderboards are made of.

    Args:
        facts: versions and hardware, as `environment` tells them.
        curves: forgetting curve of each trial that has one, as its run has it.
    """
    data = cell.scenario.data
    entry = Entry(
        # As this process computes now: threads are set when a cell begins.
        identity=replace(cell.identity, machine=machine(cell.scenario.config.model)),
        title=_title(cell),
        preset=cell.scenario.config.preset,
        plugin=_plugin(cell),
        edges=dict(result.edges),
        recorded=datetime.now(UTC).replace(microsecond=0),
        data=DataFacts(
            source=data.splits.provenance.get("data", ""),
            fingerprint=data.fingerprint,
            sizes={name: len(examples) for name, examples in data.splits.items()},
        ),
        hyperparameters={name: str(value) for name, value in result.hyperparameters.items()},
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
        measures={metric.item.name: metric_facts(metric.item) for metric in cell.scenario.metrics},
        versions=_under("version.", facts),
        hardware=_under("hardware.", facts),
        # No settings make again what was made elsewhere.
        config=None if cell.brought else shared_settings(cell),
        right={name: _flags(evaluation) for name, evaluation in result.tested.items()},
        log_probabilities=kept(result.evaluations[FORGET].predictions.log_probabilities),
        trials=tuple(_trial(trial, curves.get(trial.number, "[]")) for trial in result.trained_here),
        needs=_needs(cell, result),
    )
    attach(record, {RESULT: entry.model_dump_json(indent=1)})


def metric_facts(metric: type[Metric]) -> MetricFacts:
    """What tables must know of a metric."""
    return MetricFacts(
        title=metric.title,
        lower_is_better=metric.lower_is_better,
        is_share=metric.is_share,
        variant=metric.variant,
    )


def _title(cell: Cell) -> str:
    if cell.brought is not None:
        return cell.row
    return cell.choice.method.title if cell.choice else cell.row.capitalize()


def _plugin(cell: Cell) -> str:
    return f"{cell.choice.origin.package} {cell.choice.origin.version}" if cell.choice else ""


def _needs(cell: Cell, result: CellResult) -> NeedsEntry | None:
    if cell.choice is None:
        return None
    return NeedsEntry(**asdict(needs(cell.choice.method(**result.hyperparameters))))


def _under(prefix: str, facts: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in sorted(facts.items()) if name.startswith(prefix)}


def _flags(evaluation: Evaluation) -> str:
    predictions = evaluation.predictions
    pairs = zip(predictions.answers, predictions.predicted, strict=True)
    return "".join("1" if answer == predicted else "0" for answer, predicted in pairs)


def _trial(trial: Trial, curve: str) -> TrialEntry:
    found = trial.result
    diverged = found.failure is not None
    return TrialEntry(
        number=trial.number,
        values={name: str(value) for name, value in trial.values.items()},
        objective=None if diverged else found.objective,
        forget_accuracy=None if diverged else found.forget_accuracy,
        retain_accuracy=None if diverged else found.retain_accuracy,
        pruned=found.pruned,
        curve=tuple(
            CurvePointEntry(step=step, forget_accuracy=forget, retain_accuracy=retain)
            for step, forget, retain in json.loads(curve)
        ),
        tested=tuple(
            AnsweredPointEntry(step=point.step, forget=point.forget, retain=point.retain) for point in found.tested
        ),
    )


def attach_predictions(record: Record, cell: Cell, evaluations: Mapping[str, Evaluation]) -> None:
    """Stores every prediction, the confusion counts, and the settings that run the cell again."""
    scenario = cell.scenario
    examples = dict(scenario.data.splits.items()) | {data.task.name: data.examples for data in scenario.transfer}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "predictions"
        folder.mkdir()
        for name, evaluation in evaluations.items():
            predictions_frame(examples[name], evaluation.predictions).to_parquet(folder / f"{name}.parquet")
        if scenario.data.task.labels:
            _confusion_frame(evaluations).to_csv(Path(scratch) / "confusion.csv", index=False)
        (Path(scratch) / "config.yaml").write_text(dump_experiment(cell.settings), encoding="utf-8")
        record.artifacts(Path(scratch))


def predictions_frame(examples: Sequence[Example], predictions: Predictions) -> pd.DataFrame:
    """Every single prediction of a split, as it is stored."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "text": [example.text for example in examples],
            "group": [example.group for example in examples],
            "answer": predictions.answers,
            "predicted": predictions.predicted,
            "log_probability": predictions.log_probabilities,
            "answer_tokens": predictions.answer_tokens,
        }
    )
    return frame.assign(written=predictions.written) if predictions.written else frame


def _confusion_frame(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Counts by split, right answer, and what was predicted."""
    import pandas as pd

    rows = [
        (split, answer, predicted, count)
        for split, evaluation in evaluations.items()
        for (answer, predicted), count in sorted(confusion_counts(evaluation.predictions).items())
    ]
    return pd.DataFrame(rows, columns=["split", "answer", "predicted", "count"])


def attach(record: Record, files: Mapping[str, str]) -> None:
    """Stores texts under their names."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in files.items():
            (Path(scratch) / name).write_text(text, encoding="utf-8")
        record.artifacts(Path(scratch))
