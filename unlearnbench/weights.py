"""The weights that the cells of one workplace take turns with: one set in memory, put back where a cell changed it."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

from unlearnbench.base import BaseModel, base_model, is_whole
from unlearnbench.cache import cache_root, discard
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.soft_prompt import load_adapter, save_adapter
from unlearnbench.engine.training import OnStep
from unlearnbench.engine.trials import can_share_prefix
from unlearnbench.errors import UserError
from unlearnbench.grid import Workplace
from unlearnbench.method import Method
from unlearnbench.models.loading import compute_dtype, load_model, pick_device, restore_weights
from unlearnbench.models.resolve import ResolvedModel
from unlearnbench.storage import stop_on_full_storage


class Weights:
    """Holds the weights of the vanilla model, of the base model, or of what `changed` them last."""

    def __init__(self, workplace: Workplace, encoder: Encoder) -> None:
        self.workplace, self.encoder = workplace, encoder
        self._holds: str | None = None
        self._model: LanguageModel | None = None

    @property
    def model(self) -> LanguageModel:
        """The model in memory; there must be one."""
        assert self._model is not None
        return self._model

    def vanilla(self) -> LanguageModel:
        """The pre-trained model."""
        if self._holds != "vanilla":
            self._load(self.workplace.model, "vanilla")
        return self.model

    def base(self, on_step: OnStep = lambda progress: None) -> tuple[LanguageModel, BaseModel]:
        """The base model; fine-tunes it first where that has not been done."""
        entry = cache_root() / "base" / self.workplace.base_key
        if self._holds is not None and not entry.is_dir():
            # Fine-tuning loads weights of its own.
            self._drop()
        try:
            base = self._base_in_place(on_step)
        except (OSError, SafetensorError, UserError) as error:
            stop_on_full_storage(error)
            if not entry.is_dir() or is_whole(entry):
                raise
            # Truncated or deleted files: what can be computed again is not worth failing for.
            discard(entry)
            self._drop()
            base = self._base_in_place(on_step)
        self.model.prompt = None
        return self.model, base

    def changed(self) -> None:
        """Says that the weights in memory are no longer the base model's."""
        self._holds = "unlearned"

    def save(self, folder: Path) -> None:
        """Writes what was trained: a PEFT prompt adapter, or all weights."""
        model = self.model
        if model.prompt is None:
            model.network.save_pretrained(folder)
        else:
            save_adapter(model.prompt, model.network, self.workplace.model.path, folder)

    def restore(self, method: Method, folder: Path) -> LanguageModel:
        """The model that `save` wrote."""
        model, _ = self.base()
        if method.soft_prompt() is None:
            restore_weights(model.network, folder)
            self.changed()
        else:
            model.prompt = load_adapter(folder)
            model.shared_prefix = can_share_prefix(model.network, model.prompt.to(model.device, model.network.dtype))
        return model

    def _base_in_place(self, on_step: OnStep) -> BaseModel:
        workplace, config = self.workplace, self.workplace.config
        base = base_model(
            workplace.model,
            self.encoder,
            workplace.data,
            config.base,
            config.model,
            workplace.seed,
            on_step,
            config.checkpoint_seconds,
        )
        if self._model is None or (self._holds == "vanilla" and config.model.frozen_4bit):
            self._load(ResolvedModel(workplace.model.spec, str(base.folder), None, base.key), "base")
        elif self._holds != "base":
            restore_weights(self._model.network, base.folder)
        self._holds = "base"
        return base

    def _load(self, source: ResolvedModel, holds: str) -> None:
        config = self.workplace.config.model
        network = load_model(source, config, four_bit=config.frozen_4bit and holds == "base")
        if config.gradient_checkpointing:
            network.gradient_checkpointing_enable({"use_reentrant": False})
        self._model = LanguageModel(
            network,
            pad=self.encoder.pad,
            compute_dtype=compute_dtype(config, pick_device(config)),
            tokens_per_pass=config.tokens_per_pass,
        )
        self._holds = holds

    def _drop(self) -> None:
        self._model, self._holds = None, None
