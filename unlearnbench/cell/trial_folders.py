"""The trials of one cell on the disk: a folder for each, in which `result.json` says that it is done.

The first trials of a study do not depend on each other (see `design.first_values`), so that any process which shares
the results folder can train one: whoever holds its lease. A result stays until the cell is recorded, a model only as
long as it may be the best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from unlearnbench.cell.cell import Cell
from unlearnbench.cell.curve import CurvePoint
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.cell.trainer import Trained, Trainer
from unlearnbench.cell.tuning import COLLAPSED_BELOW, TrialResult, has_finished
from unlearnbench.contract.objective import ForgetScale, trade_off
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.training import DivergedError, OnStep
from unlearnbench.storage.cache import content_hash, discard, discard_damaged, filling
from unlearnbench.storage.lease import Claim, claimed
from unlearnbench.storage.whole import write_whole
from unlearnbench.tracking.store import WORK, Store

Values = dict[str, Any]


@dataclass(frozen=True)
class DoneTrial:
    """What `result.json` holds.

    Attributes:
        trained: facts about the training; None if it diverged.
    """

    result: TrialResult
    trained: Trained | None


DONE = TypeAdapter(DoneTrial)


class TrialFolders:
    """Trains a cell's method with given values: each values once, by the first process that gets to them."""

    def __init__(self, cell: Cell, choice: MethodChoice, trainer: Trainer, store: Store, on_step: OnStep) -> None:
        self.cell, self.choice, self.trainer, self.store, self.on_step = cell, choice, trainer, store, on_step
        # What was trained with other values of the leader is of no use.
        name = cell.training if cell.leader is None else f"{cell.training}-{content_hash(choice.fixed)}"
        self.folder = store.results / WORK / name
        self.study_name = f"{cell.name} / {name}"

    def run(
        self, values: Values, on_wait: Callable[[], None], keeps: Callable[[TrialResult], bool]
    ) -> tuple[DoneTrial, bool]:
        """The trial with these values, done now or before; waits for another process that is at it.

        Args:
            on_wait: called meanwhile, from time to time.
            keeps: whether the model of a trial with such a result is to be saved.

        Returns:
            And whether it was done before.
        """
        with claimed(self._lease(values), on_wait):
            found = self.done(values)
            return (self._train(values, keeps), False) if found is None else (found, True)

    def help(self, several: Sequence[Values], on_begin: Callable[[], None] = lambda: None) -> bool:
        """Trains the first of these trials that is neither done nor claimed, for the process that runs the cell.

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
                    self._train(values, keeps=lambda result: True)
                    return True
            finally:
                claim.release()
        return False

    def done(self, values: Values) -> DoneTrial | None:
        """What came of the trial with these values; None if it is not done."""
        try:
            return DONE.validate_json((self._of(values) / "result.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            discard_damaged(self._of(values))
            return None

    def model(self, values: Values) -> Path:
        """Where the model of a trial is, if it was kept."""
        return self._of(values) / "model"

    def keep_only(self, best: Values | None, others: Sequence[Values]) -> None:
        """Deletes the models of the other trials."""
        for values in others:
            if best is None or self._of(values) != self._of(best):
                discard(self.model(values))

    def checkpoints(self, values: Values) -> Checkpoints:
        """Snapshots of the training."""
        return Checkpoints(self._of(values) / "checkpoints", self.cell.scenario.config.checkpoint_seconds)

    def clean(self) -> None:
        """Deletes all trials."""
        discard(self.folder)

    def _train(self, values: Values, keeps: Callable[[TrialResult], bool]) -> DoneTrial:
        _, base = self.trainer.base_accuracies()
        scale = self.trainer.forget_scale(self.on_step)
        checkpoints = self.checkpoints(values)
        try:
            with self.trainer.unlearn(self.choice.build(values), self.on_step, checkpoints) as (model, trained):
                done = self._judged(model, trained, base, scale)
                if keeps(done.result):
                    with filling(self.model(values)) as scratch:
                        self.trainer.slot.save(model, scratch)
        except DivergedError as error:
            done = DoneTrial(TrialResult.diverged(str(error)), None)
        self._of(values).mkdir(parents=True, exist_ok=True)
        write_whole({self._of(values) / "result.json": DONE.dump_json(done, indent=1).decode()})
        checkpoints.clear()
        return done

    def _judged(self, model: LanguageModel, trained: Trained, base: float, scale: ForgetScale) -> DoneTrial:
        """The training with its result; `base` is the base model's retain accuracy."""
        forget, retain = self.trainer.training_accuracies(model)
        collapsed = retain < COLLAPSED_BELOW * base
        objective = trade_off(forget, retain, base, scale)
        result = TrialResult(objective, forget, retain, collapsed, trained.cost, tested=trained.tested)
        if trained.curve and trained.best_step is None:
            trained = replace(trained, curve=(*trained.curve, CurvePoint(trained.steps, forget, retain)))
        return DoneTrial(result, trained)

    def _is_over(self, values: Values) -> bool:
        """Whether nobody needs the trial any more; the study knows that when the folder is gone."""
        return self.done(values) is not None or has_finished(self.store.optuna_storage, self.study_name, values)

    def _of(self, values: Values) -> Path:
        """Named by its values, as it has another number after an interruption."""
        return self.folder / content_hash(values)

    def _lease(self, values: Values) -> Path:
        return self.folder.with_name(f"{self.folder.name}-{content_hash(values)}.lease")
