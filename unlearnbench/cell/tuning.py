"""One Optuna study per cell: which hyper-parameters forget most and keep most, judged on training splits only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from unlearnbench.cell.cost import Cost
from unlearnbench.cell.curve import AnsweredPoint
from unlearnbench.cell.design import first_values, sampler, suggested
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.config import TuningConfig

if TYPE_CHECKING:
    import optuna

# A trial whose retain accuracy falls below this share of the base model's has collapsed.
COLLAPSED_BELOW = 0.05


@dataclass(frozen=True)
class TrialResult:
    """What one trial reached on the training splits.

    Attributes:
        objective: `objective.trade_off` of the two accuracies below.
        collapsed: hardly anything is retained.
        cost: of the training.
        failure: why the trial can't be used (its loss was not finite), or None.
        tested: answers to test examples on the way and at the end, by which nothing is judged.
    """

    objective: float
    forget_accuracy: float
    retain_accuracy: float
    collapsed: bool
    cost: Cost
    failure: str | None = None
    tested: tuple[AnsweredPoint, ...] = ()

    @property
    def pruned(self) -> str | None:
        """Why the trial can't be the best one, or None."""
        if self.failure is None and self.collapsed:
            return f"retain accuracy collapsed to {self.retain_accuracy:.3f}"
        return self.failure

    @classmethod
    def diverged(cls, reason: str) -> TrialResult:
        """A trial whose loss was not finite."""
        return cls(0.0, 0.0, 0.0, collapsed=False, cost=Cost(), failure=reason)

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> TrialResult:
        """The result whose `dataclasses.asdict` is `stored`."""
        return TypeAdapter(cls).validate_python(stored)


@dataclass(frozen=True)
class Trial:
    """A finished trial: the tuned values and what they reached."""

    number: int
    values: dict[str, Any]
    result: TrialResult


# Number and values of a trial, and the trials before it.
RunTrial = Callable[[int, dict[str, Any], list[Trial]], TrialResult]


def tune(
    choice: MethodChoice,
    tuning: TuningConfig,
    storage: str,
    study_name: str,
    seed: int,
    run_trial: RunTrial,
    fresh: bool = False,
) -> list[Trial]:
    """Runs the study until it has as many finished trials as it may (one, if nothing is to be tuned or it may none).

    The first trial takes the defaults, the next ones are the design's, and from the eleventh on they are TPE's. Trials
    of an interrupted run count, unless `fresh` asks to forget them. A trial that diverges or collapses is recorded as
    pruned.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if fresh and study_name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=study_name, storage=storage)
    study = optuna.create_study(
        storage=storage,
        study_name=study_name,
        direction="maximize",
        load_if_exists=True,
    )
    _close_interrupted(study)
    first = first_values(tuning.design, choice.space, choice.defaults, tuning.trials, seed)
    wanted = tuning.trials if choice.space and tuning.trials > 0 else 1
    while (number := len(finished_trials(study))) < wanted:
        study.sampler = sampler(seed, number)
        if number < len(first) and not _is_waiting(study):
            study.enqueue_trial(first[number])
        _run_one(study, choice, run_trial)
    return finished_trials(study)


def has_finished(storage: str, study_name: str, values: Mapping[str, Any]) -> bool:
    """Whether a study has a finished trial with these values."""
    import optuna

    if study_name not in optuna.get_all_study_names(storage):
        return False
    study = optuna.load_study(study_name=study_name, storage=storage)
    return any(trial.values == values for trial in finished_trials(study))


def best_trial(trials: list[Trial]) -> Trial | None:
    """The trial of the highest objective; a collapsed one only where all others failed, None where all failed."""
    usable = [trial for trial in trials if trial.result.failure is None]
    return max(usable, key=lambda t: (not t.result.collapsed, t.result.objective, -t.number), default=None)


def finished_trials(study: optuna.Study) -> list[Trial]:
    """All trials that ran to an end, in order."""
    return [
        Trial(trial.number, dict(trial.params), TrialResult.from_stored(trial.user_attrs["result"]))
        for trial in study.trials
        if "result" in trial.user_attrs
    ]


def _run_one(study: optuna.Study, choice: MethodChoice, run_trial: RunTrial) -> None:
    trial = study.ask()
    values = suggested(trial, choice.space)
    result = run_trial(trial.number, values, finished_trials(study))
    trial.set_user_attr("result", asdict(result))
    _tell(study, trial.number, result)


def _tell(study: optuna.Study, number: int, result: TrialResult) -> None:
    import optuna

    if result.failure is not None or result.collapsed:
        study.tell(number, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(number, result.objective)


def _is_waiting(study: optuna.Study) -> bool:
    import optuna

    return bool(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)))


def _close_interrupted(study: optuna.Study) -> None:
    """Ends the trials that an earlier process left running; those without a result are proposed once more."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if "result" in trial.user_attrs:
            _tell(study, trial.number, TrialResult.from_stored(trial.user_attrs["result"]))
        else:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
