"""The result of one cell, and its names in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from unlearnbench.cell.cost import Cost
from unlearnbench.cell.evaluation import Evaluation
from unlearnbench.cell.tuning import Trial
from unlearnbench.contract.hyperparameters import Side


@dataclass(frozen=True)
class CellResult:
    """Everything measured in a cell.

    Attributes:
        evaluations: by split.
        transfer: by transfer task.
        objective: `objective.trade_off` on training examples, as tuning saw it; None where nothing was tuned.
        trainable_parameters: None if nothing is known of the training.
        tokens_per_pass: tokens of one forward pass in training, after any halving for want of memory.
        trials, pruned_trials: of the search that found the values, which may have been another seed's.
        trained_here: the trials of this cell.
        edges: the end of its range, for each tuned value that lies there.
        hyperparameters: values in use.
        training, tuning, base, evaluation: costs. `training` is that of the trial whose model is the result;
            `tuning` that of all other trials.
    """

    evaluations: Mapping[str, Evaluation]
    transfer: Mapping[str, Evaluation]
    evaluation_cost: Cost
    trainable_parameters: int | None = 0
    total_parameters: int = 0
    objective: float | None = None
    tokens_per_pass: int = 0
    trials: int = 0
    pruned_trials: int = 0
    trained_here: tuple[Trial, ...] = ()
    edges: Mapping[str, Side] = field(default_factory=dict)
    hyperparameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    base_cost: Cost = field(default_factory=Cost)
    tuning_cost: Cost = field(default_factory=Cost)
    training_cost: Cost = field(default_factory=Cost)

    @property
    def tested(self) -> dict[str, Evaluation]:
        """Evaluations of the test splits and transfer tasks."""
        splits = {name: found for name, found in self.evaluations.items() if not name.startswith("train_")}
        return {**splits, **self.transfer}

    @property
    def metrics(self) -> dict[str, float]:
        """All numbers under the names MLflow and the leaderboard use."""
        numbers: dict[str, float] = {
            "total_parameters": self.total_parameters,
            "tokens_per_pass": self.tokens_per_pass,
            "trials": self.trials,
            "pruned_trials": self.pruned_trials,
        }
        if self.trainable_parameters is not None:
            numbers["trainable_parameters"] = self.trainable_parameters
        for name, evaluation in self.evaluations.items():
            numbers |= _evaluation_metrics(name, evaluation)
        for name, evaluation in self.transfer.items():
            numbers |= _evaluation_metrics(f"transfer_{name}", evaluation)
        if self.objective is not None:
            numbers["objective"] = self.objective
        costs = {
            "base": self.base_cost,
            "tuning": self.tuning_cost,
            "training": self.training_cost,
            "evaluation": self.evaluation_cost,
        }
        for stage, cost in costs.items():
            numbers |= {f"{stage}_wall_seconds": cost.wall_seconds, f"{stage}_gpu_seconds": cost.gpu_seconds}
            if cost.peak_memory_bytes:
                numbers[f"{stage}_peak_memory_bytes"] = cost.peak_memory_bytes
        return numbers


def _evaluation_metrics(prefix: str, evaluation: Evaluation) -> dict[str, float]:
    numbers = {"accuracy": evaluation.accuracy, "examples": float(evaluation.examples)}
    numbers |= asdict(evaluation.confusion)
    return {f"{prefix}_{name}": value for name, value in {**numbers, **evaluation.values}.items()}
