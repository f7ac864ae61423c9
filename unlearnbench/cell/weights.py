"""The weights that the cells of one workplace take turns with: one set in memory, put back where a cell changed it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from unlearnbench.cell.base import BaseModel, base_entry, base_model
from unlearnbench.cell.cell import Workplace
from unlearnbench.contract.method import Method
from unlearnbench.contract.rows import BASE, RETRAIN, VANILLA
from unlearnbench.engine.dropout import without_dropout
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.probe import can_share_prefix
from unlearnbench.engine.soft_prompt import load_adapter, save_adapter
from unlearnbench.engine.training import OnStep
from unlearnbench.errors import UserError
from unlearnbench.identity.ids import BaseId
from unlearnbench.models.loading import compute_dtype, load_model, pick_device, restore_weights, save_weights
from unlearnbench.models.resolve import ResolvedModel
from unlearnbench.storage.cache import filling
from unlearnbench.storage.checksums import is_intact
from unlearnbench.storage.full_disk import stop_on_full_storage


class Weights:
    """Holds the weights of the vanilla, the base or the retrained model, or of what was unlearned last."""

    def __init__(self, workplace: Workplace, encoder: Encoder) -> None:
        self.workplace, self.encoder = workplace, encoder
        self._holds: str | None = None
        self._model: LanguageModel | None = None

    @property
    def model(self) -> LanguageModel:
        """The model in memory; there must be one."""
        assert self._model is not None
        return self._model

    @property
    def _base_entry(self) -> Path:
        """The base model's place in the cache."""
        return base_entry(self.workplace.base_id)

    def vanilla(self) -> LanguageModel:
        """The pre-trained model."""
        if self._holds != VANILLA:
            self._load(self.workplace.model, VANILLA)
        return self.model

    def brought(self, prompt: Path | None) -> LanguageModel:
        """The model as it is, behind a soft prompt that was made elsewhere, if there is one.

        Raises:
            UserError: the prompt was made for a model of another width.
        """
        model = self.vanilla()
        if prompt is None:
            return model
        vectors = load_adapter(prompt)
        width = model.network.get_input_embeddings().weight.shape[1]
        if vectors.shape[1] != width:
            raise UserError(
                f"the soft prompt in {prompt} has vectors of {vectors.shape[1]} numbers, but "
                f"{self.workplace.model.spec.name} takes {width}: name the model that it was trained on with --base."
            )
        return _behind(vectors, model)

    def base(self, on_step: OnStep = lambda progress: None) -> tuple[LanguageModel, BaseModel]:
        """The base model; fine-tunes it first where that has not been done."""
        return self._fine_tuned(BASE, self.workplace.base_id, on_step)

    def retrained(self, on_step: OnStep = lambda progress: None) -> tuple[LanguageModel, BaseModel]:
        """What the base stage makes of the retain set alone; fine-tunes it first where that has not been done."""
        return self._fine_tuned(RETRAIN, self.workplace.retrain_id.weights, on_step)

    def _fine_tuned(self, wanted: str, identity: BaseId, on_step: OnStep) -> tuple[LanguageModel, BaseModel]:
        entry = base_entry(identity)
        if self._holds is not None and not is_intact(entry):
            # Fine-tuning loads weights of its own.
            self._drop()
        try:
            base = self._in_place(wanted, identity, on_step)
        except (OSError, SafetensorError, UserError) as error:
            stop_on_full_storage(error)
            if is_intact(entry):
                raise
            # It was damaged after it was looked at: what can be computed again is not worth failing for.
            self._drop()
            base = self._in_place(wanted, identity, on_step)
        return self.model, base

    @contextmanager
    def lent(self, changes: bool) -> Iterator[LanguageModel]:
        """Lends the base model to a training, which may set modes and gradients of its network as it likes.

        Afterwards the network is in evaluation mode, no weight asks for a gradient, and none holds one.

        Args:
            changes: whether the training changes the weights, which are then put back when they are next needed.
                Frozen weights drop nothing out, in training mode either, which gradient checkpointing needs.
        """
        model, _ = self.base()
        if changes:
            self._holds = "unlearned"
        try:
            with nullcontext() if changes else without_dropout(model.network):
                yield model
        finally:
            model.network.zero_grad(set_to_none=True)
            model.network.requires_grad_(False).eval()

    def save(self, model: LanguageModel, folder: Path, base: Path | None = None) -> None:
        """Writes what was trained: a PEFT prompt adapter, or all weights.

        Args:
            base: where an adapter's base model is; in the cache, or the user's own place for it, if None.
        """
        if model.prompt is None:
            save_weights(model.network, folder)
        elif self.workplace.base_id.recipe is None:
            own = self.workplace.model
            save_adapter(model.prompt, model.network, own.path, folder, own.revision)
        else:
            save_adapter(model.prompt, model.network, str(base or self._base_entry), folder)

    def keep_base(self, models: Path) -> Path | None:
        """Copies the base model, with its tokenizer, into a folder of `models`, which it returns.

        None if the base model is the user's model as it is.
        """
        if self.workplace.base_id.recipe is None:
            return None
        kept = models / f"base-{self._base_entry.name}"
        if not kept.is_dir():
            with filling(kept) as scratch:
                shutil.copytree(self._base_entry, scratch, dirs_exist_ok=True, ignore=shutil.ignore_patterns("adapter"))
                self.encoder.tokenizer.save_pretrained(scratch)
        return kept.resolve()

    def restore(self, method: Method, folder: Path) -> LanguageModel:
        """The model that `save` wrote."""
        model, _ = self.base()
        if method.soft_prompt() is None:
            self._holds = "unlearned"
            restore_weights(model.network, folder)
            return model
        return _behind(load_adapter(folder), model)

    def _in_place(self, wanted: str, identity: BaseId, on_step: OnStep) -> BaseModel:
        workplace, config = self.workplace, self.workplace.config
        splits = workplace.data.splits
        base = base_model(
            workplace.model,
            self.encoder,
            workplace.data.task.name,
            splits.train_retain if wanted == RETRAIN else [*splits.train_forget, *splits.train_retain],
            config.base,
            config.model,
            identity,
            on_step,
            config.checkpoint_seconds,
        )
        if self._model is None or (self._holds != wanted and config.model.frozen_4bit):
            self._load(ResolvedModel(workplace.model.spec, str(base.folder), None, base.key), wanted)
        elif self._holds != wanted:
            restore_weights(self._model.network, base.folder)
        self._holds = wanted
        return base

    def _load(self, source: ResolvedModel, holds: str) -> None:
        config = self.workplace.config.model
        network = load_model(source, config, four_bit=config.frozen_4bit and holds != VANILLA)
        self._model = LanguageModel(
            network,
            pad=self.encoder.pad,
            compute_dtype=compute_dtype(config, pick_device(config)),
            tokens_per_pass=config.tokens_per_pass,
        )
        self._holds = holds

    def _drop(self) -> None:
        self._model, self._holds = None, None


def _behind(prompt: Tensor, model: LanguageModel) -> LanguageModel:
    return model.with_prompt(prompt, can_share_prefix(model.network, prompt.to(model.device, model.network.dtype)))
