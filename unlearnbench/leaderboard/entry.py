"""One result in a leaderboard, in a form that outlives the store it was recorded in.

The JSON Schema that `json_schema` makes is what contributed leaderboards are checked against.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, StringConstraints, model_validator

from unlearnbench.console.safe_text import safe
from unlearnbench.contract.rows import VANILLA
from unlearnbench.identity.ids import UNKNOWN, BroughtId, CellId
from unlearnbench.leaderboard.claims import OverallClaims, TableClaims
from unlearnbench.leaderboard.frozen import Frozen

SCHEMA_VERSION = 2
SPLITS = ("train_retain", "train_forget", "test_retain", "test_forget")

Flags = Annotated[str, StringConstraints(pattern="^[01]*$")]
# Beyond these, sums and tables overflow; no measurement comes near.
Number = Annotated[FiniteFloat, Field(ge=-1e18, le=1e18)]
LARGEST_COUNT, LONGEST_NAME = 2**53, 500
LogProbability = Annotated[FiniteFloat, Field(le=0)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]


class DataFacts(Frozen):
    """The data of a result.

    `source` is where the rows came from, `fingerprint` the content hash of the four splits, `sizes` their examples.
    """

    source: str
    fingerprint: str
    sizes: dict[str, Count]


class CurvePointEntry(Frozen):
    """Accuracies on a sample of the training splits after some steps of a training; step 0 is the base model."""

    step: int = Field(ge=0)
    forget_accuracy: FiniteFloat
    retain_accuracy: FiniteFloat


class NeedsEntry(Frozen):
    """What a method needs beside the forget set and the model, with the values in use; see `contract.needs.Needs`."""

    retain_rows: bool
    base_values: str
    trains: Literal["weights", "soft prompt"]
    query_tokens: Count


class AnsweredPointEntry(Frozen):
    """Right (1) and wrong (0) answers to up to 100 examples of each test split after some steps of a training.

    The examples are the same at every point, in random order; step 0 is the base model, the last point the end.
    """

    step: int = Field(ge=0)
    forget: Flags
    retain: Flags


class TrialEntry(Frozen):
    """One trial of the tuning, judged on training splits. What is not a number (a trial diverged) is null."""

    number: Count
    values: dict[str, str]
    objective: Number | None
    forget_accuracy: Number | None
    retain_accuracy: Number | None
    pruned: str | None = Field(description="why the trial was pruned, or null")
    curve: tuple[CurvePointEntry, ...] = Field(
        default=(), description="the way from the base model; its last point is the end of the training"
    )
    tested: tuple[AnsweredPointEntry, ...] = Field(
        default=(), description="answers to test examples on the way; no trial is judged by them"
    )


class MetricFacts(Frozen):
    """What a registered metric is: its title, which way it points, and whether it is a share shown in percent."""

    title: Name
    lower_is_better: bool = False
    is_share: bool = True
    variant: str = Field(default="", description="which of several definitions under this name")

    @property
    def full_title(self) -> str:
        """The title with its variant."""
        return f"{self.title} ({self.variant})" if self.variant else self.title


class AddedMetric(Frozen):
    """A metric that was computed after the cell had finished."""

    name: Name
    package: str
    version: str
    added: AwareDatetime
    by: Literal["predictions", "model"] = Field(
        default="predictions", description="stored predictions, or the kept model, which answered again"
    )


class UtilityEntry(Frozen):
    """What a benchmark of lm-evaluation-harness says of the model, asked after the cell had finished.

    Its name, and how the harness calls itself, come with the answers; `asked` is a hash of everything that decides what
    was asked and how answers count.
    """

    name: Name
    version: str = Field(description="of the benchmark, as its tasks say")
    harness: str = Field(description="version of lm-evaluation-harness")
    few_shots: Count = Field(description="solved examples in a prompt")
    asked: Name
    size: Count = Field(description="examples of the benchmark; fewer may have been asked")
    seed: Count | None = Field(description="with which examples were drawn, or null if all were asked")
    values: dict[str, Flags | tuple[Share, ...]] = Field(
        description="by metric, a share for each example asked; text if each is 0 or 1"
    )
    added: AwareDatetime
    package: str = Field(description="version of unlearnbench that asked")


class Entry(Frozen):
    """The result of one cell: a model, a task, a method (or a reference row) and a seed."""

    schema_version: Literal[2] = 2
    identity: CellId = Field(description="names, and everything that decides the result; see unlearnbench.identity.ids")
    title: Name = Field(description="the method as tables show it")
    preset: str
    edges: dict[str, Literal["lower", "upper"]] = Field(
        default_factory=dict, description="tuned values whose best is at an end of the range"
    )
    plugin: str = Field(description="package and version that brought the method; empty for reference rows")
    recorded: AwareDatetime
    data: DataFacts
    hyperparameters: dict[str, str]
    metrics: dict[str, Number] = Field(description="shares between 0 and 1, seconds, bytes and counts")
    measures: dict[str, MetricFacts] = Field(
        default_factory=dict, description="the registered metrics, by name; their values are `{split}_{name}`"
    )
    added: tuple[AddedMetric, ...] = Field(default=(), description="metrics that were computed later than the rest")
    versions: dict[str, str]
    hardware: dict[str, str]
    config: dict[str, Any] | None = Field(default=None, description="`unlearnbench run --config` runs the cell again")
    right: dict[str, Flags] = Field(
        default_factory=dict,
        description="by test split or transfer task: 1 for each right prediction, in the data's order",
    )
    log_probabilities: dict[str, tuple[LogProbability, ...]] = Field(
        default_factory=dict,
        description="of the right answers to the test forget examples, the sum over their tokens, in the data's order",
    )
    trials: tuple[TrialEntry, ...] = ()
    utility: tuple[UtilityEntry, ...] = Field(default=(), description="benchmarks of lm-evaluation-harness")
    needs: NeedsEntry | None = Field(default=None, description="of a method; null for other rows and earlier results")

    @model_validator(mode="after")
    def _named(self) -> Entry:
        alone = self.row == VANILLA or (self.is_brought and self.identity.table.start == UNKNOWN)
        if (self.seed is None) != alone:
            raise ValueError("seed must be null for the vanilla model, and a number for everything else")
        if not all(0 < len(name) <= LONGEST_NAME for name in (self.task, self.model, self.row)):
            raise ValueError(f"names of task, model and row have 1 to {LONGEST_NAME} characters")
        if not 0 <= (self.seed or 0) <= LARGEST_COUNT or not 0 <= (self.trial_budget or 0) <= LARGEST_COUNT:
            raise ValueError(f"seed and trials must be between 0 and {LARGEST_COUNT}")
        return self

    @property
    def key(self) -> str:
        """Results with one key differ by chance alone."""
        return self.identity.key

    @property
    def task(self) -> str:
        """The task's name."""
        return self.identity.task

    @property
    def model(self) -> str:
        """The model's name."""
        return self.identity.model

    @property
    def row(self) -> str:
        """The method's name, or that of a reference row."""
        return self.identity.row

    @property
    def seed(self) -> int | None:
        """None for the vanilla model, which depends on none."""
        return self.identity.subject.seed

    @property
    def trial_budget(self) -> int | None:
        """Trials that the tuning could use; None for what is not tuned."""
        return self.identity.subject.trials

    @property
    def tuned_on(self) -> int | None:
        """Seed whose tuning found the values of all seeds; None: this one's, or none."""
        return self.identity.subject.tuned_on

    @property
    def best_trial(self) -> TrialEntry | None:
        """The trial whose model is the result."""
        wanted = self.hyperparameters.items()
        usable = [trial for trial in self.trials if trial.objective is not None and trial.values.items() <= wanted]
        return max(usable, key=lambda trial: trial.objective or 0.0, default=None)

    @property
    def is_brought(self) -> bool:
        """Whether it was made elsewhere, and only evaluated here."""
        return isinstance(self.identity.subject, BroughtId)

    @property
    def name(self) -> str:
        """The entry in a few words."""
        seed = "" if self.seed is None else f" / seed {self.seed}"
        return safe(f"{self.model} / {self.task}{seed} / {self.row}")


class LeaderboardFile(Frozen):
    """What `leaderboard.json` holds: results, and what the tables made of them claim.

    Claims are made again from the entries wherever the file is read.
    """

    schema_version: Literal[2] = 2
    overall: tuple[OverallClaims, ...] = ()
    tables: tuple[TableClaims, ...] = ()
    entries: tuple[Entry, ...]


def json_schema() -> dict[str, Any]:
    """JSON Schema of a leaderboard file."""
    return LeaderboardFile.model_json_schema()
