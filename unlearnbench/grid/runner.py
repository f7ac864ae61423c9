"""Walks the grid: prepare, tune, unlearn, evaluate, record. Finished cells are skipped, a failed one stops no other."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from unlearnbench.cell.base import BaseFailedError, BaseModel
from unlearnbench.cell.cell import Cell, Scenario
from unlearnbench.cell.cost import measured
from unlearnbench.cell.design import Space, first_values
from unlearnbench.cell.environment import environment
from unlearnbench.cell.evaluation import Evaluation
from unlearnbench.cell.kept_folders import kept_folder
from unlearnbench.cell.model_card import write_card
from unlearnbench.cell.recording import attach, attach_predictions, attach_result, cell_tags
from unlearnbench.cell.reporter import Reporter
from unlearnbench.cell.result import CellResult
from unlearnbench.cell.search import CellFailedError, Search, describe
from unlearnbench.cell.trainer import NothingToForgetError, Trainer
from unlearnbench.cell.trial_folders import TrialFolders
from unlearnbench.cell.tuned import Tuned
from unlearnbench.config import RunConfig, dump_experiment
from unlearnbench.contract.objective import has_learned, remedy, training_accuracy
from unlearnbench.contract.rows import BASE, RETRAIN, VANILLA
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.training import Progress
from unlearnbench.errors import ModelError, UserError
from unlearnbench.models.threads import threads_for
from unlearnbench.storage.cache import discard, filling
from unlearnbench.storage.full_disk import stop_on_full_storage
from unlearnbench.storage.lease import WAIT_SECONDS, Claim, ClaimLostError
from unlearnbench.tracking.run import Record
from unlearnbench.tracking.store import INVOCATION, MODEL_FOLDER, WORK, Store

Made = TypeVar("Made")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        done: cells that were run now.
        elsewhere: cells that another process finished meanwhile.
        failed: reason of each cell that failed, here or meanwhile in another process, by its name.
    """

    done: int = 0
    elsewhere: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.done + other.done, self.elsewhere + other.elsewhere, self.failed | other.failed)


@dataclass(frozen=True)
class Invocation:
    """One call of the command line, which may run cells in several processes.

    Attributes:
        tags: of all its cells.
        failed_before: runs of cells that had failed before it began, which it is to try again.
    """

    tags: Mapping[str, str]
    failed_before: frozenset[str]


@contextmanager
def invocation(config: RunConfig, store: Store, cells: int) -> Iterator[Invocation]:
    """Records an invocation that runs so many cells."""
    failed_before = frozenset(failure.run_id for failure in store.failed_cells().values())
    tags = {"preset": config.preset, **environment()}
    with store.record("invocation", f"{config.preset}: {cells} cells", tags=tags) as record:
        attach(record, {"config.yaml": dump_experiment(config)})
        yield Invocation({**tags, INVOCATION: record.run_id}, failed_before)


class CellTimeoutError(CellFailedError):
    """A cell took longer than it may."""


@dataclass
class Runner:
    """Runs cells and records them.

    Attributes:
        force: whether cells that have been tuned before are tuned anew.
        threads: that compute, by the model's identity; a model that is missing gets as many as suit it.
        failed: reason of each cell of the run that has failed, by name, for the cells that would take its values.
    """

    config: RunConfig
    store: Store
    reporter: Reporter
    force: bool = False
    threads: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    _trainer: Trainer | None = None
    _lacking: dict[tuple[str, Scenario], str] = field(default_factory=dict)
    _deadline: float = math.inf
    _claim: Claim | None = None
    _nothing_left: set[str] = field(default_factory=set)
    _given_up: set[str] = field(default_factory=set)

    def run(self, cells: Sequence[Cell], todo: Mapping[str, float]) -> Outcome:
        """Runs the cells whose keys are in `todo`, which holds their estimated seconds.

        Processes that share a results folder share the work: a cell that another one has claimed is left to it, and
        taken over where that one dies. Meanwhile a process with nothing else to do helps with its trials.
        """
        outcome = Outcome()
        self.failed = {}
        if todo:
            with invocation(self.config, self.store, len(todo)) as begun:
                for cell, claim in self._claimed([cell for cell in cells if cell.key in todo]):
                    try:
                        outcome += self._run_claimed(cell, todo[cell.key], claim, begun)
                    except ClaimLostError:
                        # What the other process makes of it is looked up once that is done.
                        self._given_up.add(cell.key)
        return outcome

    def run_one(self, cell: Cell, estimate: float, begun: Invocation) -> Outcome | None:
        """Runs a cell, or returns None if another process has claimed it, at once or because this one stood still."""
        claim = _claim(self.store, cell)
        if not claim.acquire():
            return None
        try:
            return self._run_claimed(cell, estimate, claim, begun)
        except ClaimLostError:
            return None
        finally:
            claim.release()

    def help(self, cells: Iterable[Cell]) -> bool:
        """Trains one trial of a cell that another process runs.

        Returns:
            Whether there was one that nobody had begun.
        """
        for cell in cells:
            if cell.choice is None or cell.leader is not None or self.force or cell.key in self._nothing_left:
                continue
            choice, tuning = cell.choice, self.config.tuning
            several = first_values(tuning.design, choice.space, choice.defaults, tuning.trials, cell.scenario.seed)[1:]
            trainer = self._trainer_for(cell.scenario)
            folders = TrialFolders(cell, choice, trainer, self.store, self.reporter.step)
            about = f"a trial of {cell.name} for the process that runs it"
            try:
                if folders.help(several, on_begin=partial(self.reporter.stage, about)):
                    return True
            except Exception as error:
                # The process that runs the cell will meet the same error, and records it.
                stop_on_full_storage(error)
                self._trainer = None
            # Not asked again: what others have begun and give up falls to the process that runs the cell.
            self._nothing_left.add(cell.key)
        return False

    def _claimed(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Claim]]:
        """Each cell once it could be claimed; those of other processes last, and again if its claim was lost meanwhile.

        The claim ends with the iteration. A cell that takes another one's values comes after that one, which may be in
        the hands of another process.
        """
        waiting = deque((cell, _claim(self.store, cell)) for cell in cells)
        refused = 0

        def leader_is_open(cell: Cell) -> bool:
            return cell.leader is not None and any(other.key == cell.leader.key for other, _ in waiting)

        while waiting:
            cell, claim = waiting.popleft()
            if leader_is_open(cell) or not claim.acquire():
                waiting.append((cell, claim))
                refused += 1
                if refused == len(waiting):
                    held = sum(not leader_is_open(other) for other, _ in waiting)
                    self.reporter.stage(f"waiting for {held} cells of another process")
                if refused >= len(waiting) and not self.help(other for other, _ in waiting):
                    time.sleep(WAIT_SECONDS)
                continue
            refused = 0
            try:
                yield cell, claim
                if cell.key in self._given_up:
                    self._given_up.remove(cell.key)
                    waiting.append((cell, _claim(self.store, cell)))
            finally:
                claim.release()

    def _run_claimed(self, cell: Cell, estimate: float, claim: Claim, begun: Invocation) -> Outcome:
        """Runs a cell unless another process has meanwhile."""
        if not self.force and self.store.is_finished(cell.key):
            return Outcome(elsewhere=1)
        failure = None if self.force else self.store.failure(cell.key)
        if failure is not None and failure.run_id not in begun.failed_before:
            return Outcome(failed={cell.name: failure.reason})
        self.store.close_interrupted(cell.training)
        reason = self._run_cell(cell, estimate, claim, begun.tags)
        if reason is None:
            return Outcome(done=1)
        self.failed[cell.name] = reason
        return Outcome(failed={cell.name: reason})

    def _run_cell(self, cell: Cell, estimate: float, claim: Claim, tags: Mapping[str, str]) -> str | None:
        """Runs and records one cell; returns the reason if it failed.

        Raises:
            ClaimLostError: another process has taken it over.
        """
        self.reporter.cell_started(cell.name, estimate)
        self._claim = claim
        self._deadline = time.monotonic() + (self.config.cell_timeout or math.inf)
        try:
            tags = {**tags, "hardware.threads": str(self._set_threads(cell.scenario)), **cell_tags(cell)}
            with self.store.record("cell", cell.name, tags=tags) as record:
                result = self._measured_result(cell, claim, record, tags)
        except ModelError as error:
            # Other models may be fine. It is not recorded as a failure: mended, the same command runs the cell.
            self._trainer = None
            self.reporter.cell_ended(f"FAILED: {error}")
            return str(error)
        except UserError:
            raise
        except ClaimLostError as error:
            self._trainer = None
            self.reporter.cell_ended(str(error))
            raise
        except Exception as error:
            # Weights may be half-trained, and a traceback would hold them: start the next cell afresh.
            self._trainer = None
            reason = str(error) if isinstance(error, CellFailedError) else f"{type(error).__name__}: {error}"
            self.reporter.cell_ended(f"FAILED: {reason}")
            return reason
        self.reporter.cell_ended(_summary(result.evaluations))
        return None

    def _measured_result(self, cell: Cell, claim: Claim, record: Record, facts: Mapping[str, str]) -> CellResult:
        try:
            with measured() as whole:
                result = self._result(cell, record)
            record.params(result.hyperparameters)
            metrics = {**result.metrics, "cell_wall_seconds": whole.wall_seconds}
            record.metrics(metrics)
            attach_result(record, cell, result, metrics, facts, self.store.curves(cell.training))
        except Exception as error:
            if claim.lost:
                # Whatever it was that failed, another process has changed it meanwhile.
                raise ClaimLostError from error
            stop_on_full_storage(error)
            raise
        claim.check()
        return result

    def _on_step(self, progress: Progress) -> None:
        self.reporter.step(progress)
        self._check()

    def _check(self) -> None:
        """Raises if this process should no longer work on the cell."""
        if self._claim is not None:
            self._claim.check()
        if time.monotonic() > self._deadline:
            raise CellTimeoutError(f"it took longer than cell_timeout, {self.config.cell_timeout:g} seconds")

    def _result(self, cell: Cell, record: Record) -> CellResult:
        trainer = self._trainer_for(cell.scenario)
        if cell.brought is not None:
            with trainer.slot.brought(cell.brought.found.prompt) as model:
                return replace(self._evaluate(cell, trainer, model, record), trainable_parameters=None)
        if cell.row == VANILLA:
            return self._evaluate_row(cell, trainer, record)
        if cell.row == RETRAIN:
            # Its training is what unlearning replaces, so it counts as such, not as a base stage.
            retrained = self._made(RETRAIN, "training on the retain set alone", trainer)
            result = self._evaluate_row(cell, trainer, record)
            return replace(result, trainable_parameters=retrained.trainable_parameters, training_cost=retrained.cost)
        base = self._made(BASE, "base model", trainer)
        if cell.choice is None:
            result = self._evaluate_row(cell, trainer, record)
            self._warn_unlearned(result)
            return replace(result, trainable_parameters=base.trainable_parameters, base_cost=base.cost)
        self._check_target(trainer)
        found = None if cell.leader is None else self._found(cell.leader, cell.choice.space)
        choice = cell.choice if found is None else cell.choice.with_values(found.values)
        search = Search(cell, choice, trainer, self.store, record, self.reporter, self._on_step, self._check)
        trials, best = search.run(self.force)
        tuned = found or Tuned.of(trials, best, choice.space)
        record.tags(tuned.tags)
        for name, side in tuned.edges.items() if found is None else ():
            self.reporter.note(
                f"the best {name}, {describe({name: best.values[name]})}, is at the {side} end of its range, "
                f"{choice.space[name].describe()}: better ones may lie beyond"
            )
        with search.model(best) as (model, trained):
            result = self._evaluate(cell, trainer, model, record)
            self._attach_model(cell, trainer, model, record)
        self._check()
        search.clean()
        return replace(
            result,
            trainable_parameters=trained.trainable_parameters,
            objective=best.result.objective,
            tokens_per_pass=trained.tokens_per_pass,
            trials=tuned.trials,
            pruned_trials=tuned.pruned,
            trained_here=tuple(trials),
            edges=tuned.edges,
            hyperparameters=choice.build(best.values).hyperparameters,
            base_cost=base.cost,
            tuning_cost=search.cost(trials, best),
            training_cost=trained.cost,
        )

    def _check_target(self, trainer: Trainer) -> None:
        """Fails a cell whose method can't be judged, before anything is trained."""
        self._needed("target", trainer.scenario, lambda: trainer.forget_scale(self._on_step))

    def _found(self, leader: Cell, space: Space) -> Tuned:
        """What the cell whose values others take has found."""
        reason = self.failed.get(leader.name)
        run = None if reason else self.store.tuned(leader.search, leader.scenario.seed)
        if run is None:
            failure = self.store.failure(leader.key)
            reason = reason or (failure.reason if failure else "it was not run")
            raise CellFailedError(f"its values are those of seed {leader.scenario.seed}, which has none: {reason}")
        return Tuned.recorded(run, space)

    def _made(self, row: str, stage: str, trainer: Trainer) -> BaseModel:
        """The base or the retrained model on disk."""

        def make() -> BaseModel:
            self.reporter.stage(stage)
            return trainer.slot.made(row, self._on_step)

        return self._needed(row, trainer.scenario, make)

    def _needed(self, what: str, scenario: Scenario, make: Callable[[], Made]) -> Made:
        """What cells of a scenario share; if it could not be made once, it fails all of them at once."""
        place = (what, scenario)
        if place in self._lacking:
            raise CellFailedError(self._lacking[place])
        try:
            return make()
        except (BaseFailedError, NothingToForgetError) as error:
            self._lacking[place] = str(error)
            raise CellFailedError(str(error)) from None

    def _warn_unlearned(self, result: CellResult) -> None:
        """Says at once if the base model did not learn what is to be forgotten."""
        splits = [result.evaluations[name] for name in ("train_forget", "train_retain")]
        forget, retain = (split.accuracy for split in splits)
        sizes = [len(split.predictions.answers) for split in splits]
        accuracy = training_accuracy((forget, retain), (sizes[0], sizes[1]))
        if not has_learned(accuracy):
            self.reporter.note(
                f"the base model answers only {100 * accuracy:.1f} % of its training rows: what it does not know can't "
                f"be unlearned, so the leaderboard leaves trade-offs out; {remedy(self.config.base.kind == 'none')}"
            )

    def _evaluate_row(self, cell: Cell, trainer: Trainer, record: Record) -> CellResult:
        """Evaluates the model of a reference row."""
        with trainer.slot.lent(cell.row, self._on_step) as model:
            return self._evaluate(cell, trainer, model, record)

    def _evaluate(self, cell: Cell, trainer: Trainer, model: LanguageModel, record: Record) -> CellResult:
        self.reporter.stage("evaluation")
        with measured() as cost:
            splits, transfer = trainer.evaluate_all(model)
        attach_predictions(record, cell, {**splits, **transfer})
        return CellResult(splits, transfer, cost, total_parameters=model.network.num_parameters())

    def _attach_model(self, cell: Cell, trainer: Trainer, model: LanguageModel, record: Record) -> None:
        """A prompt adapter is small and always stored; weights, and an adapter's base model, only if asked for."""
        if model.prompt is not None:
            base = trainer.slot.keep_base(self.store.results) if self.config.keep_models else None
            with tempfile.TemporaryDirectory() as scratch:
                adapter = Path(scratch) / "prompt-adapter"
                trainer.slot.save(model, adapter, base)
                write_card(adapter, cell)
                record.artifacts(Path(scratch))
                if self.config.keep_models:
                    self._keep(cell, lambda folder: shutil.copytree(adapter, folder, dirs_exist_ok=True))
        elif self.config.keep_models:
            self._keep(cell, lambda folder: trainer.slot.save_with_tokenizer(model, folder))
        if self.config.keep_models:
            # Relative to the results folder, which may be moved.
            record.tags({MODEL_FOLDER: kept_folder(cell).as_posix()})

    def _keep(self, cell: Cell, write: Callable[[Path], object]) -> None:
        """Writes a model that the user keeps, whole or not at all, in place of the one of a former run."""
        folder = self.store.results / kept_folder(cell)
        discard(folder)
        with filling(folder) as scratch:
            write(scratch)

    def _trainer_for(self, scenario: Scenario) -> Trainer:
        if self._trainer is None or self._trainer.scenario is not scenario:
            self._trainer = None  # frees the former weights before new ones are loaded
            self._set_threads(scenario)
            self._trainer = Trainer(scenario)
        return self._trainer

    def _set_threads(self, scenario: Scenario) -> int:
        """Sets how many CPU threads compute, and returns it."""
        model = scenario.model
        if model.identity not in self.threads:
            self.threads[model.identity] = threads_for(self.config.model, model)
        torch.set_num_threads(self.threads[model.identity])
        return self.threads[model.identity]


def record_loss(store: Store, cell: Cell, reason: str, begun: Invocation) -> Outcome:
    """Records that a cell failed whose processes died, unless a process of another run has it now."""
    claim = _claim(store, cell)
    if not claim.acquire():
        return Outcome(elsewhere=1)
    try:
        store.close_interrupted(cell.training)
        with store.record("cell", cell.name, tags={**begun.tags, **cell_tags(cell)}):
            raise CellFailedError(reason)
    except CellFailedError:
        return Outcome(failed={cell.name: reason})
    finally:
        claim.release()


def _claim(store: Store, cell: Cell) -> Claim:
    return Claim(store.results / WORK / f"{cell.training}.lease")


def _summary(evaluations: Mapping[str, Evaluation]) -> str:
    return "accuracy " + ", ".join(f"{name} {100 * e.accuracy:.1f} %" for name, e in evaluations.items())
