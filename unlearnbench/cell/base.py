"""The base stage: fine-tunes on training examples until they are memorised; weights are merged and cached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnbench.cell.cost import Cost, measured
from unlearnbench.cell.language_model import language_model
from unlearnbench.config import BaseConfig, ModelConfig
from unlearnbench.contract.task import Example
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.training import DivergedError, OnStep, Optimisation, train, trainable_count
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep
from unlearnbench.errors import ModelError
from unlearnbench.identity.digest import digest
from unlearnbench.identity.ids import BaseId
from unlearnbench.models.loading import load_model, save_weights
from unlearnbench.models.lora_targets import lora_targets
from unlearnbench.models.resolve import ResolvedModel
from unlearnbench.storage.cache import cache_root, made
from unlearnbench.storage.checksums import is_intact
from unlearnbench.storage.lease import claimed

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from unlearnbench.contract.batch import Batch


class BaseFailedError(Exception):
    """There is no base model; the message says why."""


@dataclass(frozen=True)
class BaseModel:
    """A base model on disk: fine-tuned and merged, or the model as it is.

    Attributes:
        key: content hash of everything that decides its weights.
        folder: safetensors weights by the names that they have in memory.
        trainable_parameters: values trained to make it.
        cost: of the fine-tuning, whenever it was done.
    """

    key: str
    folder: Path
    trainable_parameters: int
    cost: Cost


def base_entry(identity: BaseId) -> Path:
    """The place of a base model in the cache."""
    return cache_root() / "base" / digest(identity)


class MemoriseLoss:
    """L = CE: the training examples with their true answers, all alike."""

    def loss(self, batch: Batch) -> Tensor:
        return batch.retain.cross_entropy()


def base_model(
    model: ResolvedModel,
    encoder: Encoder,
    task: str,
    rows: Sequence[Example],
    config: BaseConfig,
    model_config: ModelConfig,
    identity: BaseId,
    on_step: OnStep,
    checkpoint_seconds: float,
) -> BaseModel:
    """The base model, from the cache where it has been made before; another process that makes it is waited for.

    Args:
        task: the task's name.
        rows: what is learned; the retain set alone makes the retrained model.
        identity: what the other arguments make.

    Raises:
        BaseFailedError: the fine-tuning diverged.
        ModelError: the model lacks the configured LoRA target modules.
    """
    entry = base_entry(identity)
    if not is_intact(entry):
        checkpoints = Checkpoints(cache_root() / "checkpoints" / entry.name, checkpoint_seconds)

        def make(folder: Path) -> None:
            with measured() as cost:
                if identity.recipe is None:
                    save_weights(load_model(model, model_config), folder)
                    trained = 0
                else:
                    trained = _fine_tune(
                        model, encoder, task, rows, config, model_config, identity, folder, on_step, checkpoints
                    )
            cost.wall_seconds += checkpoints.earlier_seconds
            facts = {"trainable_parameters": trained, "cost": asdict(cost), "identity": asdict(identity)}
            (folder / "base.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")

        with claimed(entry.with_name(f"{entry.name}.lease")):
            made(entry, make)
        checkpoints.clear()
    facts = json.loads((entry / "base.json").read_text(encoding="utf-8"))
    return BaseModel(entry.name, entry, facts["trainable_parameters"], Cost(**facts["cost"]))


def _fine_tune(
    model: ResolvedModel,
    encoder: Encoder,
    task: str,
    rows: Sequence[Example],
    config: BaseConfig,
    model_config: ModelConfig,
    identity: BaseId,
    folder: Path,
    on_step: OnStep,
    checkpoints: Checkpoints,
) -> int:
    import torch

    assert identity.recipe is not None
    torch.manual_seed(identity.seed)
    network = load_model(model, model_config, four_bit=config.kind == "qlora")
    adapted = None if config.kind == "full" else with_lora(network, config)
    network.train()
    trained = trainable_count(network.parameters())
    trained_model = language_model(network, encoder, model_config)
    examples = encoder.encode(rows, room=trained_model.room())
    settings = Optimisation(
        learning_rate=identity.recipe.learning_rate,
        epochs=identity.recipe.epochs,
        batch_size=config.batch_size,
        warmup_ratio=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optimiser=model_config.optimiser if adapted is None else "adamw",
    )
    step = UnlearningStep(
        trained_model, MemoriseLoss(), TrainingSet({"retain": examples}), None, False, trained_model.budget
    )
    try:
        train(network.parameters(), len(examples), step, settings, identity.seed, on_step, checkpoints=checkpoints)
    except DivergedError as error:
        raise BaseFailedError(
            f"fine-tuning the base model {model.spec.name} on {task} diverged ({error}): "
            f"lower base.learning_rate (now {identity.recipe.learning_rate:g})."
        ) from None
    _save_merged(network, adapted, model, model_config, folder)
    return trained


def with_lora(network: PreTrainedModel, config: BaseConfig) -> Any:
    """Freezes the network and puts LoRA into it, in place; returns PEFT's view of it."""
    from peft import LoraConfig, get_peft_model

    targets = config.target_modules or lora_targets(network)
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(targets),
    )
    try:
        return get_peft_model(network, lora)
    except ValueError as error:
        raise ModelError(
            f"LoRA finds no modules {', '.join(targets)} in {type(network).__name__}: "
            f"leave out base.target_modules, or name its attention projections ({str(error).splitlines()[0]})"
        ) from None


def _save_merged(
    network: PreTrainedModel, adapted: Any, model: ResolvedModel, config: ModelConfig, folder: Path
) -> None:
    """Saves the weights; a LoRA adapter is merged into weights that were never quantised."""
    if adapted is None:
        save_weights(network, folder)
        return
    from peft import PeftModel

    adapted.save_pretrained(folder / "adapter")
    merged = PeftModel.from_pretrained(load_model(model, config), folder / "adapter").merge_and_unload()
    save_weights(merged, folder)
