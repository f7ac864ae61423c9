"""What is computed: one row of a leaderboard for one model, task and seed, and the identity that names its result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from unlearnbench.cell.identify import (
    base_id,
    evaluation_ids,
    forget_target,
    machine,
    precision,
    retrain_id,
    trained_id,
    transfer_ids,
)
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.config import RunConfig
from unlearnbench.contract.metrics import Metric
from unlearnbench.contract.rows import BASE, RETRAIN, VANILLA
from unlearnbench.data.own_task import PREFIX, OwnTask
from unlearnbench.data.store import TaskData, TransferData
from unlearnbench.identity.digest import SEED, digest
from unlearnbench.identity.ids import (
    BaseId,
    BroughtId,
    CellId,
    ForgetTarget,
    HeldBaseId,
    ModelId,
    RetrainId,
    TrainedId,
)
from unlearnbench.models.brought import BroughtModel
from unlearnbench.models.resolve import ResolvedModel
from unlearnbench.plugins import Registered


# Equal to itself alone, so that it can be a key.
@dataclass(frozen=True, eq=False)
class Scenario:
    """A model on a task with a seed: everything that its cells share.

    Attributes:
        metrics: registered metrics, computed on every set of rows.
        model_given: what the configuration names the model by, such as a folder's path, of which results show the name.
    """

    model: ResolvedModel
    data: TaskData
    transfer: tuple[TransferData, ...]
    seed: int
    config: RunConfig
    metrics: tuple[Registered[type[Metric]], ...] = ()
    model_given: str = ""

    @property
    def name(self) -> str:
        """The scenario in a few words."""
        return f"{self.model.spec.name} / {self.data.task.name} / seed {self.seed}"

    @cached_property
    def base_id(self) -> BaseId:
        """The base model's weights."""
        return base_id(self.model, self.data, self.config, self.seed)

    @property
    def held_base_id(self) -> HeldBaseId:
        """The base model as methods start from it."""
        return HeldBaseId(self.base_id, self.config.model.frozen_4bit)

    @property
    def retrain_id(self) -> RetrainId:
        """The model that never saw the forget set."""
        return retrain_id(self.data, self.held_base_id)

    @property
    def forget_target(self) -> ForgetTarget:
        """What the methods are to reach."""
        return forget_target(self.data.task, self.config)

    @property
    def reference_rows(self) -> tuple[str, ...]:
        """The reference rows that depend on the seed."""
        return (BASE, RETRAIN) if self.config.oracle or self.forget_target == "oracle" else (BASE,)

    @property
    def reference_key(self) -> str:
        """Names the model that reference values are of."""
        return digest((self.held_base_id, precision(self.model, self.config.model)))


@dataclass(frozen=True)
class Brought:
    """A model that was made elsewhere.

    Attributes:
        start: the model beside which it stands, if one was named.
    """

    found: BroughtModel
    start: HeldBaseId | None


@dataclass(frozen=True)
class Cell:
    """One row of a leaderboard for one seed: a scenario and what is evaluated there.

    Attributes:
        choice: the method, or None for a reference row.
        leader: the cell of another seed whose values this one takes; None if it is tuned itself, or not at all.
        brought: what was made elsewhere, and is only evaluated here.
    """

    scenario: Scenario
    row: str
    choice: MethodChoice | None = None
    leader: Cell | None = None
    brought: Brought | None = None

    @property
    def name(self) -> str:
        """The cell in a few words, as the plan, logs and MLflow show it."""
        return f"{self.scenario.name} / {self.row}"

    @property
    def tuned_on(self) -> int | None:
        """The seed on which the values for all seeds are found; None if each is tuned, or nothing."""
        tuning = self.scenario.config.tuning
        if tuning.scope == "seed" or tuning.trials < 2 or self.choice is None or not self.choice.space:
            return None
        return (self.leader or self).scenario.seed

    @cached_property
    def search(self) -> str:
        """Names what decides which values tuning finds, but for the seed."""
        return digest((self.scenario.data.task.name, self.scenario.model.spec.name, self._trained(None)), (SEED,))

    def _trained(self, tuned_on: int | None) -> TrainedId:
        assert self.choice is not None
        scenario = self.scenario
        return trained_id(
            self.choice, scenario.model, scenario.data, scenario.config, scenario.held_base_id, scenario.seed, tuned_on
        )

    @cached_property
    def identity(self) -> CellId:
        """Everything that decides the cell's result."""
        scenario = self.scenario
        subject: ModelId | HeldBaseId | RetrainId | TrainedId | BroughtId
        if self.brought is not None:
            subject = BroughtId(self.brought.start, self.brought.found.revision)
        elif self.row == VANILLA:
            subject = ModelId(scenario.model.identity)
        elif self.row == RETRAIN:
            subject = scenario.retrain_id
        elif self.choice is None:
            subject = scenario.held_base_id
        else:
            subject = self._trained(self.tuned_on)
        return CellId(
            scenario.data.task.name,
            scenario.model.spec.name,
            self.row,
            subject,
            precision(scenario.model, scenario.config.model),
            evaluation_ids(scenario.data, scenario.config, scenario.metrics),
            transfer_ids(scenario.transfer, scenario.config, scenario.metrics),
            machine(scenario.config.model),
        )

    @cached_property
    def key(self) -> str:
        """Names the cell's result."""
        return self.identity.key

    @property
    def settings(self) -> RunConfig:
        """The configuration of this cell and its base model alone."""
        scenario = self.scenario
        task, transfers = scenario.data.task, [one.task.name for one in scenario.transfer]
        narrowed = {
            "tasks": (f"{PREFIX}{task.path}" if isinstance(task, OwnTask) else task.name, *transfers),
            "methods": () if self.choice is None else (self.row,),
            "models": (scenario.model_given or scenario.model.spec.name,),
            "seeds": tuple(dict.fromkeys(seed for seed in (self.tuned_on, scenario.seed) if seed is not None)),
            "oracle": self.row == RETRAIN,
        }
        return scenario.config.model_copy(update=narrowed)

    @property
    def training(self) -> str:
        """Names what is trained, however it is evaluated."""
        return self.identity.training
