"""Tunes a method in a cell, and keeps the model of the best trial.

A trial is a complete training on the complete training splits, so the best trial's model *is* the result; nothing
is trained again after the search.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from unlearnbench.cell.cell import Cell
from unlearnbench.cell.cost import Cost
from unlearnbench.cell.curve import CurvePoint
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.cell.reporter import Reporter
from unlearnbench.cell.trainer import Trained, Trainer
from unlearnbench.cell.trial_folders import TrialFolders
from unlearnbench.cell.tuning import Trial, TrialResult, best_trial, tune
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.training import OnStep
from unlearnbench.storage.checksums import is_intact
from unlearnbench.tracking.run import Record
from unlearnbench.tracking.store import CURVE, DONE_BEFORE, PRUNED, TRAINING, TRIAL, Store
from unlearnbench.tracking.tuning_plots import draw_study

ACCURACIES = ("forget_accuracy", "retain_accuracy")


class CellFailedError(Exception):
    """A cell has no result; the message says why."""


class Search:
    """The trials of one cell. Their folders stay until the cell is recorded."""

    def __init__(
        self,
        cell: Cell,
        choice: MethodChoice,
        trainer: Trainer,
        store: Store,
        record: Record,
        reporter: Reporter,
        on_step: OnStep,
        on_wait: Callable[[], None],
    ) -> None:
        self.cell, self.choice, self.trainer = cell, choice, trainer
        self.store, self.record, self.reporter, self.on_step = store, record, reporter, on_step
        self.on_wait = on_wait
        self.folders = TrialFolders(cell, choice, trainer, store, on_step)

    def run(self, fresh: bool) -> tuple[list[Trial], Trial]:
        """All trials and the best of them; `fresh` forgets those of earlier runs.

        Raises:
            CellFailedError: every trial diverged.
        """
        if fresh:
            self.clean()
        scenario, study = self.cell.scenario, self.folders.study_name
        tuning, storage = scenario.config.tuning, self.store.optuna_storage
        trials = tune(self.choice, tuning, storage, study, scenario.seed, self._trial, fresh)
        best = best_trial(trials)
        if best is None:
            reasons = "; ".join(sorted({str(trial.result.failure) for trial in trials}))
            raise CellFailedError(f"all {len(trials)} trials diverged ({reasons}); lower the learning rate's range")
        if len(trials) > 1:
            with tempfile.TemporaryDirectory() as scratch:
                draw_study(self.store.optuna_storage, study, Path(scratch) / "tuning")
                self.record.artifacts(Path(scratch))
        return trials, best

    @contextmanager
    def model(self, best: Trial) -> Iterator[tuple[LanguageModel, Trained]]:
        """The best trial's model, until the block ends; it is trained again only if its weights have been lost."""
        method, folder = self.choice.build(best.values), self.folders.model(best.values)
        done = self.folders.done(best.values)
        if done is not None and done.trained is not None and is_intact(folder):
            with self.trainer.slot.restored(method, folder) as model:
                yield model, done.trained
            return
        self.reporter.stage("training the best trial again")
        with self.trainer.unlearn(method, self.on_step, self.folders.checkpoints(best.values)) as made:
            yield made

    def cost(self, trials: list[Trial], best: Trial) -> Cost:
        """Training cost of all trials but the best."""
        return sum((trial.result.cost for trial in trials if trial.number != best.number), start=Cost())

    def clean(self) -> None:
        """Deletes what the trials left."""
        self.folders.clean()

    def _trial(self, number: int, values: dict[str, Any], before: list[Trial]) -> TrialResult:
        self.reporter.stage(f"trial {number + 1}: {describe(values)}")

        def is_best(result: TrialResult) -> bool:
            best = best_trial([*before, Trial(number, values, result)])
            return best is not None and best.number == number

        name, tags = f"{self.cell.name} / trial {number}", {TRAINING: self.cell.training, TRIAL: str(number)}
        with self.store.record("trial", name, self.record.run_id, tags) as record:
            record.params(values)
            done, before_now = self.folders.run(values, self.on_wait, keeps=is_best)
            if before_now:
                record.tags({DONE_BEFORE: "true"})
            self._report(record, done.result, done.trained)
        trials = [*before, Trial(number, values, done.result)]
        best = best_trial(trials)
        self.folders.keep_only(None if best is None else best.values, [trial.values for trial in trials])
        return done.result

    def _report(self, record: Record, result: TrialResult, trained: Trained | None) -> None:
        if result.pruned is not None:
            record.tags({PRUNED: result.pruned})
        if trained is None:
            return
        self._report_engine(record, trained)
        _report_curve(record, trained.curve)
        record.metrics(
            {
                "objective": result.objective,
                "forget_accuracy": result.forget_accuracy,
                "retain_accuracy": result.retain_accuracy,
                "training_wall_seconds": trained.cost.wall_seconds,
            }
        )

    def _report_engine(self, record: Record, trained: Trained) -> None:
        """What the engine had to do otherwise than it would: a prompt per row, smaller passes."""
        record.tags({"engine.tokens_per_pass": str(trained.tokens_per_pass)})
        record.tags({"engine.rows": "packed" if trained.packed else "padded"})
        if trained.shared_prefix is not None:
            record.tags({"engine.soft_prompt": "shared prefix" if trained.shared_prefix else "per row"})
        if trained.shared_prefix is False:
            self.reporter.note(
                "the soft prompt runs in every row, because this architecture (or its gradient checkpointing) "
                "does not let rows share its keys and values; results are the same, steps are slower"
            )
        if trained.halved:
            self.reporter.note(
                f"memory was short: passes were cut to {trained.tokens_per_pass} tokens; "
                "batch size and result are the same"
            )


def _report_curve(record: Record, curve: Sequence[CurvePoint]) -> None:
    """As series for MLflow's charts, and as a tag, which is read with the run."""
    if curve:
        record.series({f"curve_{name}": [(point.step, getattr(point, name)) for point in curve] for name in ACCURACIES})
        record.tags({CURVE: json.dumps([astuple(point) for point in curve])})


def describe(values: dict[str, Any]) -> str:
    """Values of hyper-parameters in a few characters."""
    if not values:
        return "fixed values"
    shown = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in values.items()}
    return ", ".join(f"{name}={value}" for name, value in shown.items())
