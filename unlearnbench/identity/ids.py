"""Identities: frozen values that determine a result, from which all keys of cells, caches and tables are derived.

All values are resolved: a word like "auto" never gets here, and rows are hashes of the rows themselves rather than of
the settings that chose them. `cell/identify.py` derives the identities of a run from its configuration.

Training and evaluation are separate. `TrainedId` identifies trainings and tuning studies; a `CellId` adds the
evaluations, so that another transfer task or metric does not change what was trained.

If a new setting determines a result, add **one field** to the identity that it belongs to (with a default, so that
earlier results keep their keys), fill it in `cell/identify.py`, and give the setting its line in
`tests/identity/test_identity.py`, which fails until it has one. Fields are marked if they are not simply part of the
key:

- ``CHANCE``: recorded, but not part of any key: the same computation with other rounding (device, threads);
- ``SEED``: in the key of a cell, but not in those of its table and row, which cover all seeds;
- ``SOFTWARE``: in every key, since another version may compute something else; `compare` reports the difference but
  still compares, since that is what one wants to compare after an upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import ConfigDict

from unlearnbench.identity.digest import CHANCE, SEED, SOFTWARE, digest

# The forget accuracy that counts as forgotten: the retrained model's, that of guessing, or none at all.
ForgetTarget = Literal["oracle", "chance", "zero"]
ZERO: ForgetTarget = "zero"

Value = bool | int | float | str
# A hashable mapping: pairs, sorted by name.
Values = tuple[tuple[str, Value], ...]

# Increase this if a training or an evaluation computes something else from the same settings, so that earlier base
# models, reference values and results are not reused.
ENGINE = 1

# The starting point of models that were made elsewhere, if the user has not stated it.
UNKNOWN = "not known"


def values(mapping: Mapping[str, Value]) -> Values:
    """A mapping as a hashable value."""
    return tuple(sorted(mapping.items()))


class Identity:
    """Base class of all identities: unknown fields in a file are rejected."""

    __pydantic_config__ = ConfigDict(extra="forbid")


class Untuned(Identity):
    """Base class of the identities of models for which nothing was tuned here."""

    @property
    def trials(self) -> None:
        """None: nothing is tuned."""

    @property
    def tuned_on(self) -> None:
        """None: nothing is tuned."""


@dataclass(frozen=True)
class SplitsId(Identity):
    """The splits of an installed task before any subsampling, as they are cached.

    Attributes:
        options: hash of the task's options.
        data: the data sets, and anything else that the task reads.
    """

    task: str
    package: str
    version: str
    options: str
    data: str
    seed: int


@dataclass(frozen=True)
class ModelId(Untuned):
    """A pre-trained model: weights and tokenizer.

    Attributes:
        revision: the hub's commit, or a hash of local files.
    """

    revision: str
    kind: Literal["vanilla"] = "vanilla"

    @property
    def seed(self) -> None:
        """None: it depends on no seed."""


@dataclass(frozen=True)
class PrecisionId(Identity):
    """How numbers are computed.

    Attributes:
        weights, compute: precisions of the weights and of matrix products.
        attention: the implementation; "packed" is the package's own.
        attention_compute: precision of attention, if it differs from `compute`.
        context_length: number of tokens to which prompts are cut.
        engine: value of `ENGINE` at that time.
    """

    weights: str
    compute: str
    attention: str
    context_length: int
    engine: int = 1
    attention_compute: str = ""


@dataclass(frozen=True)
class DropoutId(Identity):
    """Settings that determine which random numbers dropout draws."""

    tokens_per_pass: int
    gradient_checkpointing: bool


@dataclass(frozen=True)
class LoRAId(Identity):
    """An adapter for the fine-tuning of the base model.

    Attributes:
        quantised: whether the weights under the adapter are in NF4 (QLoRA).
    """

    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    quantised: bool


@dataclass(frozen=True)
class RecipeId(Identity):
    """How the base model is fine-tuned.

    Attributes:
        lora: None if all weights are trained.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    optimiser: str
    lora: LoRAId | None


@dataclass(frozen=True)
class BaseId(Identity):
    """The weights of a base model, as they are cached.

    Attributes:
        rows: hash of the training rows.
        recipe: None if the model is used as it is.
        dropout: None if the model has no dropout, so that passes do not matter.
    """

    model: ModelId
    rows: str
    recipe: RecipeId | None
    precision: PrecisionId
    dropout: DropoutId | None
    libraries: Values = field(metadata={SOFTWARE: True})
    seed: int = field(metadata={SEED: True})


@dataclass(frozen=True)
class HeldBaseId(Untuned):
    """A base model in memory: evaluated as row base, starting point of methods, and source of reference values.

    Attributes:
        four_bit: whether its weights are in NF4.
    """

    base: BaseId
    four_bit: bool
    kind: Literal["base"] = "base"

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.base.seed


@dataclass(frozen=True)
class RetrainId(Untuned):
    """A model that is trained with the base model's recipe on the retain set alone, and never saw the forget set.

    Attributes:
        start: the base model of the same table.
        rows: hash of the training rows.
    """

    start: HeldBaseId
    rows: str
    kind: Literal["retrain"] = "retrain"

    @property
    def weights(self) -> BaseId:
        """Its weights, as they are cached."""
        return replace(self.start.base, rows=self.rows)

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.start.seed


@dataclass(frozen=True)
class MethodId(Identity):
    """An unlearning method with its fixed values and its search space.

    Attributes:
        version: version of the package that provides it.
        defaults: values at which the search starts.
        space: ranges of the tuned hyper-parameters, as text.
    """

    name: str
    package: str
    version: str = field(metadata={SOFTWARE: True})
    fixed: Values
    defaults: Values
    space: Values


@dataclass(frozen=True)
class TuningId(Identity):
    """The budget of the search and the rows on which trials are evaluated.

    Attributes:
        trials: number of complete trainings, the best of which is kept; None if the method has nothing to tune.
        forget, retain: hashes of the training rows on which trials are evaluated.
        design: how the first trials are chosen; empty for a single one, which uses the defaults.
        tuned_on: the seed on which the values of all seeds are tuned; None if each seed is tuned.
        target: target of forgetting, for which trials are tuned and by which their results are scored.
        best_of: points of a training, at most, of which the best is kept; None if the last model is.
    """

    trials: int | None
    forget: str
    retain: str
    design: str = ""
    tuned_on: int | None = None
    target: ForgetTarget = ZERO
    best_of: int | None = None


@dataclass(frozen=True)
class TrainedId(Identity):
    """A model that a method has unlearned, starting from a base model.

    Attributes:
        forget: hash of the forget rows that the method sees.
        generic_labels: answers that the method trains on instead of the right ones, if it does.
        optimiser: optimiser of the method's training.
        dropout: None if the model has no dropout, so that passes do not matter.
    """

    start: HeldBaseId
    method: MethodId
    forget: str
    generic_labels: tuple[str, ...]
    optimiser: str
    tuning: TuningId
    precision: PrecisionId
    dropout: DropoutId | None
    libraries: Values = field(metadata={SOFTWARE: True})
    seed: int = field(metadata={SEED: True})
    kind: Literal["method"] = "method"

    @property
    def trials(self) -> int | None:
        """Trials of the tuning."""
        return self.tuning.trials

    @property
    def tuned_on(self) -> int | None:
        """The seed on which the values of all seeds were tuned."""
        return self.tuning.tuned_on


@dataclass(frozen=True)
class BroughtId(Untuned):
    """A model that was made elsewhere; nothing is known about its training.

    Attributes:
        start: the base model of its table; None if the user named none.
        revision: hash of its files, or the hub's commit. It differs between the seeds of models with the same name.
    """

    start: HeldBaseId | None
    revision: str = field(metadata={SEED: True})
    kind: Literal["brought"] = "brought"

    @property
    def seed(self) -> int | None:
        """The seed of the base model of its table."""
        return None if self.start is None else self.start.seed


@dataclass(frozen=True)
class EarlierId(Identity):
    """A result of version 0.1, which recorded hashes of settings instead of the settings.

    Attributes:
        block: the same for results that belong in one table.
        result: its key.
        trials: None if nothing is tuned.
        seed: None for the vanilla model.
    """

    model: ModelId
    block: str
    result: str
    trials: int | None
    seed: int | None = field(metadata={SEED: True})
    tuned_on: int | None = None
    kind: Literal["version 0.1"] = "version 0.1"


@dataclass(frozen=True)
class MetricId(Identity):
    """A registered metric.

    Attributes:
        variant: which of several definitions under this name.
    """

    name: str
    package: str
    version: str = field(metadata={SOFTWARE: True})
    variant: str = ""


@dataclass(frozen=True)
class EvaluationId(Identity):
    """A set of rows on which a model is evaluated.

    Attributes:
        name: the split, or the transfer task.
        rows: hash of the rows.
        labels, generic_labels: answers by which predictions are counted.
        metrics: metrics in addition to accuracy, F1 and the kinds of answers.
    """

    name: str
    rows: str
    labels: tuple[str, ...]
    generic_labels: tuple[str, ...]
    metrics: tuple[MetricId, ...] = ()


@dataclass(frozen=True)
class MachineId(Identity):
    """The machine on which a cell was computed; results do not depend on it, except for rounding."""

    device: str = field(metadata={CHANCE: True})
    cpu: str = field(metadata={CHANCE: True})
    threads: int = field(metadata={CHANCE: True})
    tokens_per_pass: int = field(metadata={CHANCE: True})


@dataclass(frozen=True)
class TableId(Identity):
    """What all results of one table have in common.

    Attributes:
        start: the model that its methods start from; if nothing else is known, the vanilla model, a hash of version
            0.1, or `UNKNOWN` for models that were made elsewhere.
        splits: evaluations, without the registered metrics, which some results may lack.
        target: target of forgetting. Reference rows are measured for every target, and scored for that of the table.
    """

    task: str
    model: str
    start: HeldBaseId | ModelId | str
    precision: PrecisionId | None
    splits: tuple[EvaluationId, ...]
    target: ForgetTarget = ZERO


@dataclass(frozen=True)
class CellId(Identity):
    """One result: its names, what was trained, and how it was evaluated.

    Attributes:
        task, model, row: names, since two copies of one data set are two tables.
        splits: evaluations on the task's own test and training splits.
        further: evaluations on transfer tasks.
        precision, machine: None for an `EarlierId`, which does not record them.
    """

    task: str
    model: str
    row: str
    subject: ModelId | HeldBaseId | RetrainId | TrainedId | BroughtId | EarlierId
    precision: PrecisionId | None
    splits: tuple[EvaluationId, ...]
    further: tuple[EvaluationId, ...]
    machine: MachineId | None

    @property
    def table(self) -> TableId:
        """The identity of its table."""
        start: HeldBaseId | ModelId | str
        if isinstance(self.subject, TrainedId | RetrainId):
            start = self.subject.start
        elif isinstance(self.subject, BroughtId):
            start = self.subject.start or UNKNOWN
        elif isinstance(self.subject, EarlierId):
            start = f"version 0.1, {self.subject.block}"
        else:
            start = self.subject
        splits = tuple(replace(split, metrics=()) for split in self.splits)
        target = self.subject.tuning.target if isinstance(self.subject, TrainedId) else ZERO
        return TableId(self.task, self.model, start, self.precision, splits, target)

    @property
    def references(self) -> TableId:
        """The table of its base model's result, which belongs to the tables of all targets."""
        return replace(self.table, target=ZERO)

    @property
    def key(self) -> str:
        """Identifies the cell: results with the same key differ only by chance."""
        return digest(self)

    @property
    def training(self) -> str:
        """Identifies what is trained; names the tuning study and its folder."""
        return digest((self.task, self.model, self.row, self.subject))
