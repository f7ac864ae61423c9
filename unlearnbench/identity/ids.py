"""What decides a result: frozen values, from which every key, cache and table is made.

All values are resolved: a word like "auto" never gets here, and rows are hashes of the rows themselves rather than of
the settings that chose them. `cell/identify.py` derives the identities of a run from its configuration.

What was trained and what was measured are apart. `TrainedId` names trainings and tuning studies; a `CellId` adds the
evaluations, so that another transfer task or metric does not change what was trained.

To let a new setting decide a result, add **one field** to the identity that it belongs to (with a default, so that
results of before keep their place), fill it in `cell/identify.py`, and give the setting its line in
`tests/identity/test_identity.py`, which fails until it has one. Fields are marked if they are not simply part of the
key:

- ``CHANCE``: recorded, but in no key: the same computation, rounded otherwise (device, threads);
- ``SEED``: in the key of a cell, but not in that of its table and of its line, which are over seeds;
- ``SOFTWARE``: in every key, since another version may compute something else; `compare` names the difference but
  compares all the same, for this is what one compares after an upgrade.
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
# A mapping that can be hashed: pairs in the order of their names.
Values = tuple[tuple[str, Value], ...]

# Raised by whoever changes what a training or an evaluation computes from the same settings, so that base models,
# reference values and results of before are not taken for those of today.
ENGINE = 1

# What a model was made from that was brought without a word on it.
UNKNOWN = "not known"


def values(mapping: Mapping[str, Value]) -> Values:
    """A mapping as a value that can be hashed."""
    return tuple(sorted(mapping.items()))


class Identity:
    """Base of all identities: closed to unknown fields where they are read from a file."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class SplitsId(Identity):
    """The splits of an installed task before any subsampling, as they are cached.

    Attributes:
        options: hash of the task's options.
        data: the data sets, and whatever else the task reads.
    """

    task: str
    package: str
    version: str
    options: str
    data: str
    seed: int


@dataclass(frozen=True)
class TokensId(Identity):
    """What, beside the texts, decides their tokens.

    Attributes:
        model: whose tokenizer it is.
        tokenizers: version of the library.
    """

    model: str
    tokenizers: str
    context_length: int


@dataclass(frozen=True)
class ModelId(Identity):
    """A pre-trained model: weights and tokenizer.

    Attributes:
        revision: the hub's commit, or a hash of local files.
    """

    revision: str
    kind: Literal["vanilla"] = "vanilla"

    @property
    def seed(self) -> None:
        """None: it depends on none."""

    @property
    def trials(self) -> None:
        """None: nothing is tuned."""

    @property
    def tuned_on(self) -> None:
        """None: nothing is tuned."""


@dataclass(frozen=True)
class PrecisionId(Identity):
    """How numbers are computed.

    Attributes:
        weights, compute: precisions of the weights and of matrix products.
        attention: the implementation; "packed" is the package's own.
        attention_compute: precision of attention, if it is another one.
        context_length: tokens after which prompts are cut.
        engine: `ENGINE` at the time.
    """

    weights: str
    compute: str
    attention: str
    context_length: int
    engine: int = 1
    attention_compute: str = ""


@dataclass(frozen=True)
class DropoutId(Identity):
    """What decides which random numbers dropout draws."""

    tokens_per_pass: int
    gradient_checkpointing: bool


@dataclass(frozen=True)
class LoRAId(Identity):
    """An adapter for the fine-tuning of the base model.

    Attributes:
        quantised: whether the weights below it are in NF4 (QLoRA).
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
        lora: None where all weights are trained.
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
        recipe: None if the model is taken as it is.
        dropout: None where nothing is dropped, so that passes do not matter.
    """

    model: ModelId
    rows: str
    recipe: RecipeId | None
    precision: PrecisionId
    dropout: DropoutId | None
    libraries: Values = field(metadata={SOFTWARE: True})
    seed: int = field(metadata={SEED: True})


@dataclass(frozen=True)
class HeldBaseId(Identity):
    """A base model in memory: what the base row evaluates, where methods start, and what reference values are of.

    Attributes:
        four_bit: whether its weights are held in NF4.
    """

    base: BaseId
    four_bit: bool
    kind: Literal["base"] = "base"

    @property
    def seed(self) -> int:
        """That of its training."""
        return self.base.seed

    @property
    def trials(self) -> None:
        """None: nothing is tuned."""

    @property
    def tuned_on(self) -> None:
        """None: nothing is tuned."""


@dataclass(frozen=True)
class RetrainId(Identity):
    """What the recipe of a base model makes of the retain set alone: a model that never saw the forget set.

    Attributes:
        start: the base model that it stands beside.
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
        """That of its training."""
        return self.start.seed

    @property
    def trials(self) -> None:
        """None: nothing is tuned."""

    @property
    def tuned_on(self) -> None:
        """None: nothing is tuned."""


@dataclass(frozen=True)
class MethodId(Identity):
    """An unlearning method with the values that are set and the ranges that are searched.

    Attributes:
        version: of the package that brings it.
        defaults: where the search starts.
        space: what is tuned, as text.
    """

    name: str
    package: str
    version: str = field(metadata={SOFTWARE: True})
    fixed: Values
    defaults: Values
    space: Values


@dataclass(frozen=True)
class TuningId(Identity):
    """The budget of the search and the rows that judge it.

    Attributes:
        trials: complete trainings of which the best is kept; None for a method that declares nothing to tune.
        forget, retain: hashes of the training rows on which trials are judged.
        design: how the first trials are placed; empty for a single one, which takes the defaults.
        tuned_on: the seed on which the values of all seeds are found; None if each seed is tuned.
        target: of forgetting, to which trials are tuned and by which their results are scored.
    """

    trials: int | None
    forget: str
    retain: str
    design: str = ""
    tuned_on: int | None = None
    target: ForgetTarget = ZERO


@dataclass(frozen=True)
class TrainedId(Identity):
    """What a method has made of a base model.

    Attributes:
        forget: hash of the forget rows that the method gets to see.
        generic_labels: answers that the method trains on instead of the right ones, where it does.
        optimiser: of the method's training.
        dropout: None where nothing is dropped, so that passes do not matter.
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
        """The seed on which the values of all seeds were found."""
        return self.tuning.tuned_on


@dataclass(frozen=True)
class BroughtId(Identity):
    """A model that was made elsewhere; nothing is known of its training.

    Attributes:
        start: the model beside which it stands; None if none was named.
        revision: hash of its files, or the hub's commit. Of models with one name and several seeds each is another.
    """

    start: HeldBaseId | None
    revision: str = field(metadata={SEED: True})
    kind: Literal["brought"] = "brought"

    @property
    def seed(self) -> int | None:
        """That of the model beside which it stands."""
        return None if self.start is None else self.start.seed

    @property
    def trials(self) -> None:
        """None: nothing is tuned here."""

    @property
    def tuned_on(self) -> None:
        """None: nothing is tuned here."""


@dataclass(frozen=True)
class EarlierId(Identity):
    """A result of version 0.1, which recorded hashes of settings in place of settings.

    Attributes:
        block: equal for results that may stand in one table.
        result: its key.
        trials: None for what is not tuned.
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
    """A registered metric."""

    name: str
    package: str
    version: str = field(metadata={SOFTWARE: True})


@dataclass(frozen=True)
class EvaluationId(Identity):
    """A set of rows that a model is evaluated on.

    Attributes:
        name: the split, or the transfer task.
        rows: hash of the rows.
        labels, generic_labels: answers that predictions are sorted into.
        metrics: what is computed beside accuracy, F1 and the kinds of answers.
    """

    name: str
    rows: str
    labels: tuple[str, ...]
    generic_labels: tuple[str, ...]
    metrics: tuple[MetricId, ...] = ()


@dataclass(frozen=True)
class MachineId(Identity):
    """Where a cell was computed: nothing that a result should depend on, though rounding does."""

    device: str = field(metadata={CHANCE: True})
    cpu: str = field(metadata={CHANCE: True})
    threads: int = field(metadata={CHANCE: True})
    tokens_per_pass: int = field(metadata={CHANCE: True})


@dataclass(frozen=True)
class TableId(Identity):
    """What the results of one table share.

    Attributes:
        start: what its methods start from; the vanilla model alone, the hash of a version 0.1, or `UNKNOWN` for models
            that were made elsewhere, if that is all there is.
        splits: evaluations, without the registered metrics, which some results may lack.
        target: of forgetting. Reference rows are measured for every target, and scored for that of the table.
    """

    task: str
    model: str
    start: HeldBaseId | ModelId | str
    precision: PrecisionId | None
    splits: tuple[EvaluationId, ...]
    target: ForgetTarget = ZERO


@dataclass(frozen=True)
class CellId(Identity):
    """One result: names, what was trained, how it was evaluated.

    Attributes:
        task, model, row: names, since two copies of one data set are two tables.
        splits: evaluations of the task's own test and training splits.
        further: evaluations of transfer tasks.
        precision, machine: None for an `EarlierId`, which says nothing of them.
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
        """What it shares with the other results of its table."""
        start: HeldBaseId | ModelId | str
        if isinstance(self.subject, TrainedId | RetrainId):
            start = self.subject.start
        elif isinstance(self.subject, BroughtId):
            start = self.subject.start or UNKNOWN
        elif isinstance(self.subject, EarlierId):
            start = f"version 0.1, {self.subject.block}"
        else:
            start = self.subject
        splits = tuple(replace(one, metrics=()) for one in self.splits)
        target = self.subject.tuning.target if isinstance(self.subject, TrainedId) else ZERO
        return TableId(self.task, self.model, start, self.precision, splits, target)

    @property
    def references(self) -> TableId:
        """The table of its base model's result, which stands in tables of every target."""
        return replace(self.table, target=ZERO)

    @property
    def key(self) -> str:
        """Names the cell: results with one key differ by chance alone."""
        return digest(self)

    @property
    def training(self) -> str:
        """Names what is trained: the tuning study and its folder."""
        return digest((self.task, self.model, self.row, self.subject))
