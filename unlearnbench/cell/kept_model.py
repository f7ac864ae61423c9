"""The model of a finished cell, as far as it was kept; nothing is trained to have it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import TypeAdapter, ValidationError

from unlearnbench.cell.base import base_entry
from unlearnbench.cell.language_model import behind, language_model
from unlearnbench.config import ModelConfig, RunConfig, build_config, read_file
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.soft_prompt import load_adapter
from unlearnbench.errors import UserError
from unlearnbench.identity.digest import digest
from unlearnbench.identity.ids import BaseId, BroughtId, HeldBaseId, ModelId, RetrainId, TrainedId
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.models.brought import base_of_adapter, find_brought
from unlearnbench.models.loading import load_model, load_tokenizer
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.models.threads import threads_for
from unlearnbench.plugins import Registry
from unlearnbench.storage.cache import content_hash, file_hash
from unlearnbench.storage.checksums import is_intact
from unlearnbench.tracking.store import BROUGHT, MODEL_FOLDER, MODELS, Store

if TYPE_CHECKING:
    from mlflow.entities import Run

ADAPTER, CONFIG = "prompt-adapter", "config.json"
KEEP = "the same `unlearnbench run` with --keep-models and --force trains it again"


class NotKeptError(Exception):
    """A cell's model is not there any more; the message says why, and what to do."""


@dataclass(frozen=True)
class KeptModel:
    """Where the parts of a cell's model are.

    Attributes:
        weights: what is loaded.
        start: the model with the tokenizer.
        prompt: folder of the soft prompt in front of it.
        config: with the precision that the cell was computed in.
        four_bit: whether the weights are held in NF4.
        state: hash of everything that decides what the model answers.
    """

    weights: ResolvedModel
    start: ResolvedModel
    prompt: Path | None
    config: ModelConfig
    four_bit: bool
    state: str

    def load(self) -> tuple[LanguageModel, Encoder]:
        """The model, and what makes tokens for it."""
        torch.set_num_threads(threads_for(self.config, self.start))
        encoder = Encoder(load_tokenizer(self.start), self.config.context_length)
        network = load_model(self.weights, self.config, four_bit=self.four_bit)
        model = language_model(network, encoder, self.config)
        return model if self.prompt is None else behind(load_adapter(self.prompt), model), encoder


class KeptModels:
    """Finds the models of the cells of a results folder; each file is read once.

    Args:
        device: to compute on, if it is not to be that of a cell's settings.
    """

    def __init__(self, store: Store, known: Registry, device: str | None = None) -> None:
        self.store, self.known, self.device = store, known, device
        self._resolved: dict[str, ResolvedModel] = {}
        self._hashes: dict[Path, str] = {}

    def find(self, run: Run, entry: Entry) -> KeptModel:
        """The model of a cell.

        Args:
            run: that holds the entry.

        Raises:
            NotKeptError: it, or the model below it, is not there.
        """
        try:
            return self._found(run, entry)
        except UserError as error:
            raise NotKeptError(str(error)) from None

    def _found(self, run: Run, entry: Entry) -> KeptModel:
        settings, precision = cell_settings(self.store, run), entry.identity.precision
        if precision is None:
            raise NotKeptError("it is a result of version 0.1")
        device = {} if self.device is None else {"device": self.device}
        config = settings.model.model_copy(
            update={"dtype": precision.weights, "compute_dtype": precision.compute, **device}
        )
        subject, name = entry.identity.subject, settings.models[0]
        if isinstance(subject, BroughtId):
            return self._brought(run, subject, name, config)
        start = self._start(name)
        if isinstance(subject, ModelId):
            _check_same(start, subject)
            return self._kept(start, start, None, config, False)
        if isinstance(subject, HeldBaseId):
            return self._kept(self._base(subject.base, start), start, None, config, subject.four_bit)
        if isinstance(subject, RetrainId):
            return self._kept(self._base(subject.weights, start), start, None, config, subject.start.four_bit)
        assert isinstance(subject, TrainedId)
        prompt = self.store.artifacts.find(run.info.run_id, ADAPTER)
        if prompt is not None:
            below = self._base(subject.start.base, start, base_of_adapter(prompt))
            return self._kept(below, start, prompt, config, subject.start.four_bit)
        _check_same(start, subject.start.base.model)
        return self._kept(self._unlearned(run, start), start, None, config, False)

    def _kept(
        self, weights: ResolvedModel, start: ResolvedModel, prompt: Path | None, config: ModelConfig, four_bit: bool
    ) -> KeptModel:
        hashes = (weights.identity, start.identity, None if prompt is None else self._files(prompt))
        state = content_hash([hashes, config.dtype, config.compute_dtype, config.attention, four_bit])
        return KeptModel(weights, start, prompt, config, four_bit, state)

    def _brought(self, run: Run, subject: BroughtId, base: str, config: ModelConfig) -> KeptModel:
        given = run.data.tags.get(BROUGHT)
        if given is None:
            raise NotKeptError("where its model is was not recorded: evaluate the model again")
        if Path(given).is_absolute() and not Path(given).exists():
            raise NotKeptError(f"its model is no longer in {given}")
        found = find_brought(given, find_model(base, self.known.models), self.known.models, config)
        if found.revision != subject.revision:
            raise NotKeptError(f"the model in {given} is not the one that was evaluated: its files have changed")
        return self._kept(found.model, found.model, found.prompt, config, False)

    def _start(self, name: str) -> ResolvedModel:
        if name not in self._resolved:
            self._resolved[name] = resolve(find_model(name, self.known.models))
        return self._resolved[name]

    def _unlearned(self, run: Run, start: ResolvedModel) -> ResolvedModel:
        """The weights that `--keep-models` has kept."""
        folder = run.data.tags.get(MODEL_FOLDER)
        if folder is None or not is_intact(self.store.results / folder):
            raise NotKeptError(f"its weights were not kept: {KEEP}")
        return self._in_folder(self.store.results / folder, start)

    def _base(self, identity: BaseId, start: ResolvedModel, named: str = "") -> ResolvedModel:
        """The weights of a base model, from the cache or from where `--keep-models` has copied them.

        Args:
            named: the folder that a prompt's adapter names. Made again, a base model may round otherwise, so a copy
                of that name comes first, wherever the results folder was then.
        """
        _check_same(start, identity.model)
        if identity.recipe is None:
            return start
        copies = sorted((self.store.results / MODELS).glob("*/base.json"))
        own = [copy.parent for copy in copies if copy.parent.name == Path(named).name]
        wanted, cached = digest(identity), base_entry(identity)
        for folder in (*own, cached, *(copy.parent for copy in copies)):
            if (folder == cached or _is_base(folder / "base.json", wanted)) and is_intact(folder):
                return self._in_folder(folder, start)
        raise NotKeptError(
            "the base model is no longer in the cache: the same `unlearnbench run` with --force makes it again"
        )

    def _in_folder(self, folder: Path, start: ResolvedModel) -> ResolvedModel:
        return ResolvedModel(start.spec, str(folder), None, self._files(folder))

    def _files(self, folder: Path) -> str:
        """Hash of the weights in a folder, and of what says how they are put together."""
        if folder not in self._hashes:
            files = sorted(file for file in folder.iterdir() if file.suffix == ".safetensors" or file.name == CONFIG)
            self._hashes[folder] = content_hash([[file.name, file_hash(file)] for file in files])
        return self._hashes[folder]


def cell_settings(store: Store, run: Run) -> RunConfig:
    """The settings that run a cell again.

    Raises:
        NotKeptError: they were not stored.
    """
    file = store.artifacts.find(run.info.run_id, "config.yaml")
    if file is None:
        raise NotKeptError("its settings were not stored")
    try:
        return build_config(read_file(file), {})
    except UserError as error:
        raise NotKeptError(f"its settings can't be read: {error}") from None


def _check_same(start: ResolvedModel, wanted: ModelId) -> None:
    if start.identity != wanted.revision:
        raise NotKeptError(f"model {start.spec.name} is not the one that it was made from: its files have changed")


def _is_base(facts: Path, wanted: str) -> bool:
    try:
        found = TypeAdapter(BaseId).validate_python(json.loads(facts.read_text(encoding="utf-8"))["identity"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return False
    return digest(found) == wanted
