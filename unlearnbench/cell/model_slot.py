"""Keeps one network in memory for all cells of a scenario, and lends it to one block at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from unlearnbench.cell.base import BaseModel, base_entry, base_model
from unlearnbench.cell.cell import Scenario
from unlearnbench.cell.kept_folders import DIGITS, kept_base
from unlearnbench.cell.language_model import behind, language_model
from unlearnbench.contract.method import Method
from unlearnbench.contract.rows import BASE, RETRAIN, VANILLA
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.modes import Trains, training
from unlearnbench.engine.soft_prompt import load_adapter, save_adapter
from unlearnbench.engine.training import OnStep
from unlearnbench.errors import UserError
from unlearnbench.identity.digest import digest
from unlearnbench.identity.ids import BaseId
from unlearnbench.models.loading import load_model, restore_weights, save_weights
from unlearnbench.models.resolve import ResolvedModel
from unlearnbench.storage.cache import discard, filling
from unlearnbench.storage.checksums import is_intact, weight_checksums
from unlearnbench.storage.full_disk import stop_on_full_storage

Result = TypeVar("Result")


class ModelSlot:
    """Lends the pre-trained, the base or the retrained model, and what was trained from the base model.

    Each is lent as a block, in which its weights stay as they were asked for: only one block is open at a time. A
    model must not be used after its block, since the next one may need other weights in the same network.
    """

    def __init__(self, scenario: Scenario, encoder: Encoder) -> None:
        self.scenario, self.encoder = scenario, encoder
        self._model: LanguageModel | None = None
        # The row whose weights are in memory; None if they were trained, or are not complete.
        self._row: str | None = None
        self._is_lent = False

    def made(self, row: str, on_step: OnStep = lambda progress: None) -> BaseModel:
        """The base or the retrained model on disk; it is fine-tuned first if that has not been done.

        Raises:
            BaseFailedError: the fine-tuning diverged.
        """
        scenario, config, splits = self.scenario, self.scenario.config, self.scenario.data.splits
        identity = self._identity(row)
        if not is_intact(base_entry(identity)):
            # Fine-tuning loads weights of its own.
            self._model = self._row = None
        return base_model(
            scenario.model,
            self.encoder,
            scenario.data.task.name,
            splits.train_retain if row == RETRAIN else [*splits.train_forget, *splits.train_retain],
            config.base,
            config.model,
            identity,
            on_step,
            config.checkpoint_seconds,
        )

    @contextmanager
    def lent(self, row: str, on_step: OnStep = lambda progress: None) -> Iterator[LanguageModel]:
        """The pre-trained (`VANILLA`), the base or the retrained model; it is made first if that has not been done.

        Raises:
            RuntimeError: another block is open, which would get other weights.
        """
        if self._is_lent:
            raise RuntimeError(f"{row} can't be lent before the block ends that has the network")
        self._is_lent = True
        try:
            yield self._vanilla() if row == VANILLA else self._fine_tuned(row, on_step)
        finally:
            self._is_lent = False

    @contextmanager
    def trained(self, method: Method, train: Callable[[LanguageModel], Result]) -> Iterator[Result]:
        """The result of `train`, which gets the base model with gradients and modes as the method trains it.

        When `train` has returned or failed, the network is in evaluation mode and no weight requires or has a gradient.
        If the method trains weights, the base model's are put back when they are next asked for.
        """
        config = self.scenario.config.model
        changes = method.soft_prompt() is None
        if changes and config.frozen_4bit:
            raise UserError(
                f"{method.name} trains the weights, which model.frozen_4bit holds in 4 bits: "
                "leave frozen_4bit out, or run only methods that keep the weights frozen."
            )
        with self.lent(BASE) as model:
            trains: Trains | None = (lambda name: method.trains(name, model.layers)) if changes else None
            if trains is not None:
                if not any(trains(name) for name, _ in model.network.named_parameters()):
                    raise UserError(f"{method.name} trains none of the weights of {self.scenario.model.spec.name}.")
                self._row = None
            with training(model.network, trains, config.gradient_checkpointing):
                result = train(model)
            yield result

    @contextmanager
    def restored(self, method: Method, folder: Path) -> Iterator[LanguageModel]:
        """The model of a training with this method that `save` has written."""
        with self.lent(BASE) as model:
            if method.soft_prompt() is not None:
                yield behind(load_adapter(folder), model)
                return
            self._row = None
            restore_weights(model.network, folder)
            yield model

    @contextmanager
    def brought(self, prompt: Path | None) -> Iterator[LanguageModel]:
        """The model as it is, behind a soft prompt that was made elsewhere, if there is one.

        Raises:
            UserError: the prompt was made for a model of another width.
        """
        with self.lent(VANILLA) as model:
            if prompt is None:
                yield model
                return
            vectors = load_adapter(prompt)
            width = model.network.get_input_embeddings().weight.shape[1]
            if vectors.shape[1] != width:
                raise UserError(
                    f"the soft prompt in {prompt} has vectors of {vectors.shape[1]} numbers, but "
                    f"{self.scenario.model.spec.name} takes {width}: name the model that it was trained on with "
                    "--base."
                )
            yield behind(vectors, model)

    def save(self, model: LanguageModel, folder: Path, base: Path | None = None) -> None:
        """Writes what was trained: a PEFT prompt adapter, or all weights.

        Args:
            base: where an adapter's base model is; in the cache, or the user's own place for it, if None.
        """
        if model.prompt is None:
            save_weights(model.network, folder)
        elif self.scenario.base_id.recipe is None:
            own = self.scenario.model
            save_adapter(model.prompt, model.network, own.path, folder, own.revision)
        else:
            save_adapter(model.prompt, model.network, str(base or base_entry(self.scenario.base_id)), folder)

    def save_with_tokenizer(self, model: LanguageModel, folder: Path) -> None:
        """Writes all weights and the tokenizer, as transformers loads them."""
        save_weights(model.network, folder)
        self.encoder.tokenizer.save_pretrained(folder)

    def keep_base(self, results: Path) -> Path | None:
        """Copies the base model, with its tokenizer, into the results folder, and returns where.

        A former copy of other weights stays. None if the base model is the user's model as it is.
        """
        if self.scenario.base_id.recipe is None:
            return None
        entry = base_entry(self.scenario.base_id)
        kept = results / kept_base(self.scenario, entry.name)
        if kept.is_dir() and weight_checksums(kept) != weight_checksums(entry):
            # The cache's was made again, with other rounding: prompts in front of the former one still need that.
            kept = kept.with_name(f"{kept.name}-{digest(weight_checksums(entry))[:DIGITS]}")
        if not is_intact(kept):
            discard(kept)
            with filling(kept) as scratch:
                shutil.copytree(entry, scratch, dirs_exist_ok=True, ignore=shutil.ignore_patterns("adapter"))
                self.encoder.tokenizer.save_pretrained(scratch)
        return kept.resolve()

    def _identity(self, row: str) -> BaseId:
        return self.scenario.retrain_id.weights if row == RETRAIN else self.scenario.base_id

    def _vanilla(self) -> LanguageModel:
        if self._model is None or self._row != VANILLA:
            self._model = self._row = None  # frees the former weights before new ones are loaded
            self._model, self._row = self._loaded(self.scenario.model, four_bit=False), VANILLA
        return self._model

    def _fine_tuned(self, row: str, on_step: OnStep) -> LanguageModel:
        try:
            return self._in_place(row, self.made(row, on_step))
        except (OSError, SafetensorError, UserError) as error:
            stop_on_full_storage(error)
            if is_intact(base_entry(self._identity(row))):
                raise
            # It was damaged after it was looked at: what can be computed again is not worth failing for.
            return self._in_place(row, self.made(row, on_step))

    def _in_place(self, row: str, made: BaseModel) -> LanguageModel:
        """The network with these weights, which are read unless they are there."""
        if self._model is not None and self._row == row:
            return self._model
        frozen_4bit = self.scenario.config.model.frozen_4bit
        self._row = None
        if self._model is None or frozen_4bit:
            self._model = None
            source = ResolvedModel(self.scenario.model.spec, str(made.folder), None, made.key)
            self._model = self._loaded(source, four_bit=frozen_4bit)
        else:
            restore_weights(self._model.network, made.folder)
        self._row = row
        return self._model

    def _loaded(self, source: ResolvedModel, four_bit: bool) -> LanguageModel:
        config = self.scenario.config.model
        network = load_model(source, config, four_bit=four_bit).requires_grad_(False)
        return language_model(network, self.encoder, config)
