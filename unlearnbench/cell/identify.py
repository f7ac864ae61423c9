"""From a configuration, loaded rows and resolved models to the identities of what a run computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from unlearnbench.cell.environment import cpu_name
from unlearnbench.config import BaseConfig, ModelConfig, RunConfig
from unlearnbench.contract.hyperparameters import Choice, LogUniform
from unlearnbench.contract.metrics import Metric
from unlearnbench.contract.task import SPLIT_NAMES, Example, SplitName, Task
from unlearnbench.data.sampling import judged_rows, seen_forget_rows
from unlearnbench.data.store import TaskData, TransferData
from unlearnbench.hookspecs import PROJECT
from unlearnbench.identity.ids import (
    ENGINE,
    BaseId,
    DropoutId,
    EvaluationId,
    ForgetTarget,
    HeldBaseId,
    LoRAId,
    MachineId,
    MethodId,
    MetricId,
    ModelId,
    PrecisionId,
    RecipeId,
    RetrainId,
    TrainedId,
    TuningId,
    Values,
    values,
)
from unlearnbench.models import loading
from unlearnbench.models.loading import architecture, model_size, pick_device
from unlearnbench.models.ranges import base_rate_by_size
from unlearnbench.models.resolve import ResolvedModel
from unlearnbench.plugins import Registered
from unlearnbench.storage.cache import content_hash

if TYPE_CHECKING:
    from unlearnbench.cell.method_choice import MethodChoice

# Four-bit weights and eight-bit optimisers are bitsandbytes'.
EIGHT_BIT = ("adamw-8bit", "paged-adamw-8bit")


def rows_hash(examples: Iterable[Example]) -> str:
    """A hash of all that a model sees of some rows, in their order."""
    return content_hash([[example.prompt, example.answer] for example in examples])


# Rows are many, and the cells of a grid share them.
@lru_cache(maxsize=64)
def _split_hash(data: TaskData, name: SplitName) -> str:
    return rows_hash(dict(data.splits.items())[name])


@lru_cache(maxsize=64)
def _transfer_hash(data: TransferData) -> str:
    return rows_hash(data.examples)


@lru_cache(maxsize=64)
def _seen_hash(data: TaskData, fraction: float, seed: int) -> str:
    return rows_hash(seen_forget_rows(data.splits, fraction, seed))


@lru_cache(maxsize=64)
def _judged_hashes(data: TaskData, fraction: float, limit: int, seed: int) -> tuple[str, str]:
    forget, retain = judged_rows(data.splits, fraction, limit, seed)
    return rows_hash(forget), rows_hash(retain)


def base_epochs(task: Task, config: BaseConfig) -> int:
    """Epochs of fine-tuning: the task's option, else the configuration's, else the task's own number."""
    return task.options.base_epochs or config.epochs or task.base_epochs


def forget_target(task: Task, config: RunConfig) -> ForgetTarget:
    """The task's option, else the configuration's, else the task's own target."""
    return task.options.forget_target or config.forget_target or task.forget_target


def precision(model: ResolvedModel, config: ModelConfig) -> PrecisionId:
    """How the model computes on this machine."""
    from unlearnbench.engine.precision import attention_dtype

    found = loading.precision(config)
    attention = architecture(model).attention if config.attention == "auto" else config.attention
    computed = found.compute if found.is_mixed else found.weights
    own = attention_dtype(found.device) if attention == "packed" else None
    return PrecisionId(
        config.dtype,
        _name(found.compute),
        attention,
        config.context_length,
        ENGINE,
        "" if own in (None, computed) else _name(own),
    )


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def base_id(model: ResolvedModel, data: TaskData, config: RunConfig, seed: int) -> BaseId:
    """The base model that a configuration makes."""
    recipe = None if config.base.kind == "none" else _recipe(model, data.task, config)
    lora = None if recipe is None else recipe.lora
    drops = recipe is not None and (architecture(model).drops_out or (lora is not None and lora.dropout > 0))
    quantised = (recipe is not None and recipe.optimiser in EIGHT_BIT) or (lora is not None and lora.quantised)
    return BaseId(
        ModelId(model.identity),
        content_hash([_split_hash(data, "train_forget"), _split_hash(data, "train_retain")]),
        recipe,
        precision(model, config.model),
        _dropout(config.model) if drops else None,
        _libraries({"peft": lora is not None, "bitsandbytes": quantised}),
        seed,
    )


def retrain_id(data: TaskData, start: HeldBaseId) -> RetrainId:
    """The model that never saw the forget set, beside a base model that did."""
    return RetrainId(start, content_hash([_split_hash(data, "train_retain")]))


def trained_id(
    choice: MethodChoice,
    model: ResolvedModel,
    data: TaskData,
    config: RunConfig,
    start: HeldBaseId,
    seed: int,
    tuned_on: int | None,
) -> TrainedId:
    """What a method makes of a base model.

    Args:
        tuned_on: the seed on which the values of all seeds are found; None if each is tuned.
    """
    method = choice.build(choice.defaults)
    prompted = method.soft_prompt() is not None
    # Frozen weights run without dropout, unless gradient checkpointing asks for training mode.
    drops = architecture(model).drops_out and (not prompted or config.model.gradient_checkpointing)
    optimiser = "adamw" if prompted else config.model.optimiser
    return TrainedId(
        start,
        _method(choice),
        _seen_hash(data, config.forget_fraction, config.split_seed),
        tuple(config.generic_labels) if "generic" in method.uses else (),
        optimiser,
        _tuning(choice, data, config, tuned_on),
        precision(model, config.model),
        _dropout(config.model) if drops else None,
        _libraries({"bitsandbytes": optimiser in EIGHT_BIT or start.four_bit}),
        seed,
    )


def evaluation_ids(
    data: TaskData, config: RunConfig, metrics: Sequence[Registered[type[Metric]]]
) -> tuple[EvaluationId, ...]:
    """The evaluations of a task's splits."""
    return tuple(_evaluation(name, _split_hash(data, name), data.task.labels, config, metrics) for name in SPLIT_NAMES)


def transfer_ids(
    transfer: Sequence[TransferData], config: RunConfig, metrics: Sequence[Registered[type[Metric]]]
) -> tuple[EvaluationId, ...]:
    """The evaluations of transfer tasks."""
    return tuple(_evaluation(one.task.name, _transfer_hash(one), one.task.labels, config, metrics) for one in transfer)


def metric_ids(metrics: Iterable[Registered[type[Metric]]]) -> tuple[MetricId, ...]:
    """Registered metrics and their versions, without the built-in ones, which are part of what `ENGINE` counts."""
    own = [one for one in metrics if one.origin.package != PROJECT]
    ids = [MetricId(one.item.name, one.origin.package, one.origin.version, one.item.variant) for one in own]
    return tuple(sorted(ids, key=_by_name))


def _by_name(metric: MetricId) -> str:
    return metric.name


def machine(config: ModelConfig) -> MachineId:
    """This machine, as the configuration uses it."""
    import torch

    device = pick_device(config)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return MachineId(
        name if config.device_map is None else f"{name}, spread as {config.device_map}",
        cpu_name(),
        torch.get_num_threads(),
        tokens_per_pass(config),
    )


def settled(config: ModelConfig) -> ModelConfig:
    """The settings with what this machine makes of those that are left to it."""
    compute = _name(loading.precision(config).compute)
    return config.model_copy(update={"compute_dtype": compute, "tokens_per_pass": tokens_per_pass(config)})


def tokens_per_pass(config: ModelConfig) -> int:
    """Tokens of one forward pass on this machine."""
    return config.tokens_per_pass or loading.precision(config).tokens_per_pass


def _recipe(model: ResolvedModel, task: Task, config: RunConfig) -> RecipeId:
    base = config.base
    lora = None
    if base.kind != "full":
        targets = base.target_modules or loading.own_lora_targets(model)
        lora = LoRAId(base.rank, base.alpha, base.dropout, targets, base.kind == "qlora")
    return RecipeId(
        base_epochs(task, base),
        base.batch_size,
        base.learning_rate or base_rate_by_size(model_size(model).parameters, "LoRA" if lora else "all weights"),
        base.warmup_ratio,
        base.weight_decay,
        base.max_grad_norm,
        config.model.optimiser if base.kind == "full" else "adamw",
        lora,
    )


def _method(choice: MethodChoice) -> MethodId:
    return MethodId(
        choice.method.name,
        choice.origin.package,
        choice.origin.version,
        values(choice.fixed),
        values(choice.defaults),
        values({name: _range(parameter) for name, parameter in choice.space.items()}),
    )


def _range(parameter: Choice[bool | int | float | str] | LogUniform) -> str:
    if isinstance(parameter, Choice):
        return f"one of {parameter.choices!r}"
    return f"log-uniform {parameter.low!r} to {parameter.high!r}"


def _tuning(choice: MethodChoice, data: TaskData, config: RunConfig, tuned_on: int | None) -> TuningId:
    judged = _judged_hashes(data, config.forget_fraction, config.tuning.max_examples, config.split_seed)
    trials = max(1, config.tuning.trials) if choice.space else 1
    design = config.tuning.design if trials > 1 else ""
    target = forget_target(data.task, config)
    best_of = config.tuning.curve_points if config.tuning.keep == "best" else None
    return TuningId(trials if choice.tunable else None, *judged, design, tuned_on, target, best_of)


def _dropout(config: ModelConfig) -> DropoutId:
    return DropoutId(tokens_per_pass(config), config.gradient_checkpointing)


def _evaluation(
    name: str,
    rows: str,
    labels: Sequence[str],
    config: RunConfig,
    metrics: Sequence[Registered[type[Metric]]],
) -> EvaluationId:
    return EvaluationId(name, rows, tuple(labels), tuple(config.generic_labels), metric_ids(metrics))


@cache
def _version(library: str) -> str:
    """The public part of a version: builds for different hardware are one library."""
    return version(library).partition("+")[0]


def _libraries(further: Mapping[str, bool]) -> Values:
    """Versions of the libraries that train, and of the further ones that are needed."""
    names = ["torch", "transformers", *(name for name, needed in further.items() if needed)]
    return values({name: _version(name) for name in names})
