"""Examples, splits and the base classes of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from unlearnbench.identity.ids import ZERO, ForgetTarget

if TYPE_CHECKING:
    from unlearnbench.contract.source import DataSource, HubDataset

SplitName = Literal["train_forget", "train_retain", "test_forget", "test_retain"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train_forget", "train_retain", "test_forget", "test_retain")
GENERIC_LABELS = ("neutral", "unknown", "none")


@dataclass(frozen=True)
class Example:
    """One prompt and its answer.

    Attributes:
        prompt: the model's input, without trailing space.
        answer: the right continuation, without leading space.
        text: the part that identifies the example (the review, the question); the same text in training and test is a
            leak.
        group: why the example is in the forget set (an entity, a cluster), empty in the retain set.
    """

    prompt: str
    answer: str
    text: str
    group: str = ""


@dataclass(frozen=True)
class Splits:
    """The four splits of a task, and where they come from.

    Attributes:
        provenance: facts worth recording (data revision, forget entities, cluster sizes), all as text.
    """

    train_forget: tuple[Example, ...]
    train_retain: tuple[Example, ...]
    test_forget: tuple[Example, ...]
    test_retain: tuple[Example, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)

    def items(self) -> Iterator[tuple[SplitName, tuple[Example, ...]]]:
        """Name and examples of each split, in the order of `SPLIT_NAMES`."""
        for name in SPLIT_NAMES:
            yield name, getattr(self, name)


class TaskOptions(BaseModel):
    """Options of a task, set with ``--set TASK.NAME=VALUE`` or in a preset. Unknown ones are errors.

    Attributes:
        base_epochs: epochs of fine-tuning the base model, instead of the task's own number.
        forget_target: when forget examples count as forgotten, instead of the task's own target.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_epochs: int | None = Field(default=None, ge=1)
    forget_target: ForgetTarget | None = None


class Task(ABC):
    """A data set with a forget and a retain part.

    Attributes:
        datasets: the hub data sets it reads.
        labels: all answers that occur, or empty if answers are free text.
        base_epochs: epochs of fine-tuning after which a model has memorised the training splits.
        forget_target: the forget accuracy of a model that has forgotten: that of a model which never saw the forget
            set (oracle), that of guessing among the labels (chance), or zero.
        forget_target_reason: why that, in one sentence.
        options: values of `Options`.
    """

    name: str
    title: str
    description: str
    datasets: ClassVar[tuple[HubDataset, ...]] = ()
    labels: tuple[str, ...] = ()
    base_epochs: int = 5
    forget_target: ForgetTarget = ZERO
    forget_target_reason: str = "The answers to the forget examples are to be suppressed, known otherwise or not."
    Options: ClassVar[type[TaskOptions]] = TaskOptions

    def __init__(self, options: TaskOptions | None = None) -> None:
        self.options = options if options is not None else self.Options()

    def data_identity(self, source: DataSource) -> str:
        """What determines the rows besides options and seed; part of the key in the cache of splits."""
        return "; ".join(source.identity(dataset) for dataset in self.datasets)

    @property
    def published(self) -> bool:
        """Whether the splits are somebody's published ones, which keep texts that are in both training and test."""
        return False

    @abstractmethod
    def splits(self, source: DataSource, seed: int) -> Splits:
        """The whole task, before any subsampling. It must depend only on its arguments and `options`."""


class TransferTask(ABC):
    """A test set for models that have been unlearned on another task.

    Attributes:
        unlearned_on: name of the task whose models are evaluated.
    """

    name: str
    title: str
    description: str
    labels: tuple[str, ...] = ()
    unlearned_on: ClassVar[str]
    Options: ClassVar[type[TaskOptions]] = TaskOptions

    def __init__(self, options: TaskOptions | None = None) -> None:
        self.options = options if options is not None else self.Options()

    @abstractmethod
    def test(self, source: DataSource, seed: int) -> tuple[Example, ...]:
        """The test set."""
