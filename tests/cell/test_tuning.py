"""The study: defaults first, seeded, resumable, and honest about trials that fail."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from tests.survival.processes import exit_code
from unlearnbench.api import Choice, LogUniform
from unlearnbench.cell.cost import Cost
from unlearnbench.cell.design import first_values
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.cell.tuning import Trial, TrialResult, best_trial, has_finished, tune
from unlearnbench.config import Design, TuningConfig
from unlearnbench.contract.objective import trade_off
from unlearnbench.plugins import Origin, registry

SPACE: dict[str, Choice[Any] | LogUniform] = {
    "learning_rate": LogUniform(1e-5, 1e-1, default=1e-3),
    "alpha": Choice((0.1, 0.5, 1.0), default=1.0),
}


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def choice(space: dict[str, Choice[Any] | LogUniform]) -> MethodChoice:
    method = registry().method("spul").item
    defaults = {name: parameter.default for name, parameter in space.items()}
    return MethodChoice(method, Origin("spul", "unlearnbench", "0"), {}, defaults, space, tunable=True)


def budget(trials: int, design: Design = "spread") -> TuningConfig:
    return TuningConfig(trials=trials, design=design)


def result(objective: float, collapsed: bool = False) -> TrialResult:
    return TrialResult(objective, 0.0, 0.0, collapsed, Cost(wall_seconds=1.0))


class Recorder:
    """Runs trials whose objective is their learning rate."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []

    def __call__(self, number: int, values: dict[str, Any], before: list[Trial]) -> TrialResult:
        assert len(before) == len(self.values)
        self.values.append(values)
        return result(values["learning_rate"])


def test_first_trial_takes_the_defaults_and_the_rest_stay_in_range(storage: str) -> None:
    run = Recorder()
    trials = tune(choice(SPACE), budget(6), storage, "study", seed=0, run_trial=run)
    assert len(trials) == 6
    assert run.values[0] == {"learning_rate": 1e-3, "alpha": 1.0}
    assert all(1e-5 <= values["learning_rate"] <= 1e-1 and values["alpha"] in (0.1, 0.5, 1.0) for values in run.values)
    best = best_trial(trials)
    assert best is not None
    assert best.values["learning_rate"] == max(values["learning_rate"] for values in run.values)


@pytest.mark.parametrize("design", ["spread", "random"])
def test_first_values_are_those_that_the_study_will_ask_for(storage: str, design: Design) -> None:
    run = Recorder()
    tune(choice(SPACE), budget(12, design), storage, "study", 3, run)
    ahead = first_values(design, SPACE, choice(SPACE).defaults, 12, seed=3)
    assert len(ahead) == 10
    assert ahead == run.values[:10]
    assert has_finished(storage, "study", ahead[4])
    assert not has_finished(storage, "study", {**ahead[4], "alpha": 7.0})
    assert not has_finished(storage, "another", ahead[4])


def test_search_is_seeded_where_chance_decides(storage: str) -> None:
    def values(design: Design, seed: int, name: str) -> list[dict[str, Any]]:
        run = Recorder()
        tune(choice(SPACE), budget(12, design), storage, name, seed, run)
        return run.values

    random, again, other = (values("random", seed, f"random {i}") for i, seed in enumerate((0, 0, 1)))
    assert random == again
    assert all(mine != others for mine, others in zip(random[1:], other[1:], strict=True))
    spread, others = (values("spread", seed, f"spread {seed}") for seed in (0, 1))
    assert spread[:10] == others[:10], "the design leaves nothing to the seed"
    assert spread[10:] != others[10:], "TPE draws"


@pytest.mark.parametrize("seed", [429_496, 429_497, 2**32 - 1])
def test_any_seed_of_32_bits_can_be_tuned_with(storage: str, seed: int) -> None:
    run = Recorder()
    tune(choice(SPACE), budget(3, "random"), storage, "study", seed, run)
    assert run.values == first_values("random", SPACE, choice(SPACE).defaults, 3, seed)


@pytest.mark.parametrize(("space", "trials"), [(SPACE, 0), ({}, 5)])
def test_nothing_to_tune_means_one_trial(storage: str, space: dict[str, Any], trials: int) -> None:
    calls = []

    def run(number: int, values: dict[str, Any], before: list[Trial]) -> TrialResult:
        calls.append(values)
        return result(0.5)

    assert len(tune(choice(space), budget(trials), storage, "study", 0, run)) == 1
    assert calls == [{name: parameter.default for name, parameter in space.items()}]


def test_interrupted_study_goes_on_and_asks_again_for_the_lost_trial(storage: str) -> None:
    whole = Recorder()
    tune(choice(SPACE), budget(4), storage, "unbroken", 0, whole)

    asked: list[dict[str, Any]] = []

    def dies(number: int, values: dict[str, Any], before: list[Trial]) -> TrialResult:
        asked.append(values)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return result(values["learning_rate"])

    with pytest.raises(KeyboardInterrupt):
        tune(choice(SPACE), budget(4), storage, "study", 0, dies)

    def goes_on(number: int, values: dict[str, Any], before: list[Trial]) -> TrialResult:
        asked.append(values)
        return result(values["learning_rate"])

    trials = tune(choice(SPACE), budget(4), storage, "study", 0, goes_on)
    assert len(trials) == 4
    assert asked[3] == asked[2]


@pytest.mark.slow
def test_study_killed_before_any_commit_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    commits = deadline = 0

    def count(connection: sqlalchemy.Connection) -> None:
        nonlocal commits
        commits += 1
        if commits == deadline:
            os._exit(9)

    def study(name: str) -> list[tuple[dict[str, Any], float]]:
        storage = f"sqlite:///{tmp_path / name}.db"
        trials = tune(choice(SPACE), budget(2), storage, "study", 0, lambda _, values, __: result(values["alpha"]))
        return [(trial.values, trial.result.objective) for trial in trials]

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", count)
    try:
        optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'empty.db'}")
        shutil.copy(tmp_path / "empty.db", tmp_path / "whole.db")
        commits = 0
        whole = study("whole")
        total = commits
        assert len(whole) == 2
        assert total > 20
        for last in range(1, total + 1):
            name = f"killed-{last}"
            shutil.copy(tmp_path / "empty.db", tmp_path / f"{name}.db")
            pid = os.fork()
            if pid == 0:
                commits, deadline = 0, last
                study(name)
                os._exit(0)
            assert exit_code(pid) == 9
            assert study(name) == whole, f"killed before commit {last} of {total}"
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", count)


def test_failed_and_collapsed_trials_are_pruned_and_recorded(storage: str) -> None:
    outcomes = iter([TrialResult.diverged("loss nan"), result(0.9, collapsed=True), result(0.2)])
    trials = tune(choice(SPACE), budget(3), storage, "study", 0, lambda number, values, before: next(outcomes))
    study = optuna.load_study(study_name="study", storage=storage)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED", "COMPLETE"]
    assert trials[0].result.failure == "loss nan"
    best = best_trial(trials)
    assert best is not None
    assert best.number == 2


def test_best_of_only_collapsed_and_of_only_failed_trials() -> None:
    collapsed = [Trial(i, {}, result(objective, collapsed=True)) for i, objective in enumerate((0.1, 0.3))]
    best = best_trial(collapsed)
    assert best is not None
    assert best.number == 1
    assert best_trial([Trial(0, {}, TrialResult.diverged("nan"))]) is None


@pytest.mark.parametrize(
    ("forget", "retain", "base", "expected"),
    [
        (0.0, 0.9, 0.9, 1.0),
        (1.0, 0.9, 0.9, 0.0),
        (0.0, 0.0, 0.9, 0.0),
        (0.5, 0.45, 0.9, 0.5),
        (0.2, 1.0, 0.5, 1.6 / 1.8),
        (0.0, 0.5, 0.0, 0.0),
    ],
)
def test_trade_off_is_the_harmonic_mean(forget: float, retain: float, base: float, expected: float) -> None:
    assert trade_off(forget, retain, base) == pytest.approx(expected)
