"""The trainings of one cell with given hyper-parameters, shared by all processes that have time for them.

The first trials of a study do not depend on each other (see `design.first_values`). The process that runs the cell
takes them in order; others may be ahead of it, and then it finds a trained model and its result in the cell's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unlearnbench.cell.cell import Cell
from unlearnbench.cell.cost import Cost
from unlearnbench.cell.curve import CurvePoint
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.cell.tuning import COLLAPSED_BELOW, TrialResult, has_finished
from unlearnbench.cell.workbench import Trained, Workbench
from unlearnbench.contract.objective import trade_off
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.training import DivergedError, OnStep
from unlearnbench.storage.cache import content_hash, discard, discard_damaged, filling
from unlearnbench.storage.checksums import is_intact
from unlearnbench.storage.lease import Claim, claimed
from unlearnbench.tracking.store import Store


@dataclass(frozen=True)
class Attempt:
    """What became of a training.

    Attributes:
        trained: facts about it; None where it diverged.
        model: its model, held in memory; None where it diverged, or where another process has saved it in `folder`.
    """

    result: TrialResult
    trained: Trained | None
    model: LanguageModel | None
    folder: Path


class Attempts:
    """Trains a cell's method with given values: once, by the first process that gets to it."""

    def __init__(self, cell: Cell, choice: MethodChoice, bench: Workbench, store: Store, on_step: OnStep) -> None:
        self.cell, self.choice, self.bench, self.store, self.on_step = cell, choice, bench, store, on_step
        # What was trained with other values of the leader is of no use.
        name = cell.training if cell.leader is None else f"{cell.training}-{content_hash(choice.fixed)}"
        self.folder = store.results / "work" / name
        self.study_name = f"{cell.name} / {name}"

    def of(self, values: dict[str, Any], on_wait: Callable[[], None]) -> Attempt:
        """The attempt with these values; waits for another process that is at it, and calls `on_wait` meanwhile."""
        with claimed(self._lease(values), on_wait):
            attempt = self._found(values) or self._train(values)
            self._taken(values).parent.mkdir(parents=True, exist_ok=True)
            self._taken(values).touch()
        return attempt

    def ahead(self, several: Sequence[dict[str, Any]], on_begin: Callable[[], None] = lambda: None) -> bool:
        """Makes and saves the first of these attempts that nobody has begun, for the process that runs the cell.

        Args:
            on_begin: called before a training begins.

        Returns:
            Whether there was one.
        """
        for values in several:
            claim = Claim(self._lease(values))
            if not claim.acquire():
                continue
            try:
                if not self._is_over(values):
                    on_begin()
                    self._save(values, self._train(values))
                    self.checkpoints(values).clear()
                    return True
            finally:
                claim.release()
        return False

    def save(self, attempt: Attempt, folder: Path) -> None:
        """Puts the attempt's model and facts into `folder`, all at once."""
        if attempt.model is None:
            attempt.folder.rename(folder)
            return
        with filling(folder) as scratch:
            self._write(attempt, scratch)

    def clear(self, values: dict[str, Any]) -> None:
        """Deletes what is left of an attempt that has been saved, or is not worth it."""
        self.checkpoints(values).clear()
        discard(self._saved(values))

    def checkpoints(self, values: dict[str, Any]) -> Checkpoints:
        """Snapshots of the training; named by its values, as its trial has another number after an interruption."""
        seconds = self.cell.workplace.config.checkpoint_seconds
        return Checkpoints(self.folder / f"checkpoints-{content_hash(values)}", seconds)

    def _train(self, values: dict[str, Any]) -> Attempt:
        scale = self.bench.forget_scale(self.on_step)
        _, base = self.bench.base_accuracies()
        try:
            model, trained = self.bench.unlearn(self.choice.build(values), self.on_step, self.checkpoints(values))
        except DivergedError as error:
            return Attempt(TrialResult.diverged(str(error)), None, None, self._saved(values))
        forget, retain = self.bench.training_accuracies(model)
        collapsed = retain < COLLAPSED_BELOW * base
        result = TrialResult(trade_off(forget, retain, base, scale), forget, retain, collapsed, trained.cost)
        if trained.curve:
            end = CurvePoint(trained.steps, forget, retain)
            trained = replace(trained, curve=(*trained.curve, end))
        return Attempt(result, trained, model, self._saved(values))

    def _is_over(self, values: dict[str, Any]) -> bool:
        if self._taken(values).exists() or self._saved(values).is_dir():
            return True
        return has_finished(self.store.optuna_storage, self.study_name, values)

    def _save(self, values: dict[str, Any], attempt: Attempt) -> None:
        with filling(self._saved(values)) as scratch:
            (scratch / "result.json").write_text(json.dumps(asdict(attempt.result)), encoding="utf-8")
            if attempt.trained is not None:
                self._write(attempt, scratch)

    def _write(self, attempt: Attempt, folder: Path) -> None:
        assert attempt.model is not None
        assert attempt.trained is not None
        self.bench.weights.save(attempt.model, folder)
        (folder / "trained.json").write_text(json.dumps(asdict(attempt.trained)), encoding="utf-8")

    def _found(self, values: dict[str, Any]) -> Attempt | None:
        """What another process has saved."""
        folder = self._saved(values)
        if not is_intact(folder):
            discard_damaged(folder)
            return None
        result = TrialResult.from_stored(json.loads((folder / "result.json").read_text(encoding="utf-8")))
        return Attempt(result, read_trained(folder) if result.failure is None else None, None, folder)

    def _lease(self, values: dict[str, Any]) -> Path:
        return self.folder.with_name(f"{self.folder.name}-{content_hash(values)}.lease")

    def _saved(self, values: dict[str, Any]) -> Path:
        return self.folder / f"ahead-{content_hash(values)}"

    def _taken(self, values: dict[str, Any]) -> Path:
        """A file that says that the process which runs the cell has what it needs."""
        return self.folder / f"taken-{content_hash(values)}"


def read_trained(folder: Path) -> Trained:
    """Facts about the training whose model is saved in `folder`."""
    facts = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    curve = tuple(CurvePoint(**point) for point in facts["curve"])
    return Trained(**{**facts, "cost": Cost(**facts["cost"]), "curve": curve})
