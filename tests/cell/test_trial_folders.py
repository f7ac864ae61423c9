"""Trials that one process trains for another, which then has the same result as if it had trained them itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from unlearnbench.cell import tuning
from unlearnbench.cell.cell import Cell
from unlearnbench.cell.trainer import Trainer
from unlearnbench.cell.trial_folders import TrialFolders
from unlearnbench.config import RunConfig, build_config
from unlearnbench.grid.display import LogDisplay
from unlearnbench.grid.grid import build_grid
from unlearnbench.grid.runner import Outcome, Runner
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.plugins import registry
from unlearnbench.tracking.store import DONE_BEFORE, KIND, Store

pytestmark = pytest.mark.slow

TRIALS = 3


@pytest.fixture(params=["npo-rt", "spul"])
def configured(request: pytest.FixtureRequest, model_folder: Path, data_folder: Path) -> Callable[[Path], RunConfig]:
    """A configuration of one cell with several trials, for a results folder."""

    def make(results: Path) -> RunConfig:
        settings: dict[str, Any] = {
            "tasks": [f"path:{data_folder}"],
            "models": [str(model_folder)],
            "methods": [request.param],
            "results": str(results),
            "tuning": {"trials": TRIALS},
            "base": {"kind": "lora", "epochs": 2},
            "set": {request.param: {"epochs": 2}},
        }
        return build_config(settings, {})

    return make


def prepared(config: RunConfig) -> tuple[Runner, Cell]:
    """A process's runner, and the cell of the method."""
    (cell,) = [cell for cell in build_grid(config, registry()) if cell.choice is not None]
    return Runner(config, Store(config.results), LogDisplay(Console(), [1.0], True).reporter(0)), cell


def run(runner: Runner, cell: Cell) -> Outcome:
    return runner.run([cell], {cell.key: 1.0})


def test_trials_of_a_helper_are_used(
    configured: Callable[[Path], RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, cell = prepared(configured(tmp_path / "alone"))
    assert run(alone, cell).done == 1

    helper, cell = prepared(configured(tmp_path / "helped"))
    assert [helper.help([cell]) for _ in range(TRIALS)] == [True] * (TRIALS - 1) + [False], "all but the first"
    trained: list[object] = []
    unlearn = Trainer.unlearn
    monkeypatch.setattr(Trainer, "unlearn", lambda *given: trained.append(given[1]) or unlearn(*given))
    helped, cell = prepared(configured(tmp_path / "helped"))
    assert run(helped, cell).done == 1
    assert len(trained) == 1
    assert not helper.help([cell]), "nothing is left"
    assert not list((tmp_path / "helped" / "work").iterdir())
    query = f"tags.`{KIND}` = 'trial' and tags.`{DONE_BEFORE}` = 'true'"
    assert len(Store(tmp_path / "helped")._search(query)) == TRIALS - 1

    ((first,), (second,)) = (open_entries(str(tmp_path / name)) for name in ("alone", "helped"))
    assert first.right == second.right
    assert first.hyperparameters == second.hyperparameters
    costs = ("_seconds", "_bytes")
    for name, value in first.metrics.items():
        if not name.endswith(costs):
            assert second.metrics[name] == pytest.approx(value), name


def test_helper_leaves_alone_what_another_process_is_training(
    configured: Callable[[Path], RunConfig], tmp_path: Path
) -> None:
    helper, cell = prepared(configured(tmp_path / "results"))
    other, _ = prepared(configured(tmp_path / "results"))
    asked: list[bool] = []

    def while_training(progress: object) -> None:
        asked.append(other.help([cell]))

    assert cell.choice is not None
    trainer = Trainer(cell.scenario)
    folders = TrialFolders(cell, cell.choice, trainer, helper.store, while_training)
    folders.run(cell.choice.defaults, lambda: None, keeps=lambda result: True)
    assert asked[: TRIALS - 1] == [True] * (TRIALS - 1)
    assert not any(asked[TRIALS - 1 :])


def test_waiting_for_a_helper_counts_as_time_of_the_cell(
    configured: Callable[[Path], RunConfig], tmp_path: Path
) -> None:
    helper, cell = prepared(configured(tmp_path / "results"))
    runner, _ = prepared(configured(tmp_path / "results").model_copy(update={"cell_timeout": 4.0}))
    started, give_up = threading.Event(), threading.Event()

    def stand_still(progress: object) -> None:
        started.set()
        give_up.wait(60)

    helper.reporter.step = stand_still  # type: ignore[method-assign]
    thread = threading.Thread(target=helper.help, args=([cell],))
    thread.start()
    assert started.wait(60)
    try:
        assert "longer than cell_timeout" in run(runner, cell).failed[cell.name]
    finally:
        give_up.set()
        thread.join()


def test_helper_that_fails_leaves_the_error_to_the_process_that_runs_the_cell(
    configured: Callable[[Path], RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(Trainer, "unlearn", fail)
    helper, cell = prepared(configured(tmp_path / "results"))
    assert not helper.help([cell])
    runner, cell = prepared(configured(tmp_path / "results"))
    assert "no room" in run(runner, cell).failed[cell.name]


def test_diverged_trial_of_a_helper_is_recorded_as_such(
    configured: Callable[[Path], RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench.engine.training import DivergedError

    def diverge(*given: object) -> None:
        raise DivergedError("loss nan")

    helper, cell = prepared(configured(tmp_path / "results"))
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "unlearn", diverge)
        assert [helper.help([cell]) for _ in range(TRIALS)] == [True] * (TRIALS - 1) + [False]
    runner, cell = prepared(configured(tmp_path / "results"))
    assert run(runner, cell).done == 1
    (entry,) = open_entries(str(tmp_path / "results"))
    assert entry.metrics["pruned_trials"] == TRIALS - 1


def test_trial_that_is_done_is_not_trained_again_if_its_process_dies_before_the_study_knows(
    configured: Callable[[Path], RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path / "results")
    trained: list[object] = []
    unlearn = Trainer.unlearn
    monkeypatch.setattr(Trainer, "unlearn", lambda *given: trained.append(given[1]) or unlearn(*given))

    def die(*given: object) -> None:
        raise KeyboardInterrupt

    runner, cell = prepared(config)
    with monkeypatch.context() as patched:
        patched.setattr(tuning, "asdict", die)  # between the training and the study's commit
        with pytest.raises(KeyboardInterrupt):
            run(runner, cell)
    assert len(trained) == 1
    assert len(list((tmp_path / "results" / "work").glob("*/*/result.json"))) == 1
    runner, cell = prepared(config)
    assert run(runner, cell).done == 1
    assert len(trained) == TRIALS
    assert not list((tmp_path / "results" / "work").iterdir())


def test_only_the_best_model_is_kept_and_every_result(configured: Callable[[Path], RunConfig], tmp_path: Path) -> None:
    runner, cell = prepared(configured(tmp_path / "results"))
    assert cell.choice is not None
    folders = TrialFolders(cell, cell.choice, Trainer(cell.scenario), runner.store, lambda progress: None)
    several = [{**cell.choice.defaults, "learning_rate": rate} for rate in (1e-3, 2e-3, 3e-3)]
    for values, keeps in zip(several, (True, False, True), strict=True):
        done, before = folders.run(values, lambda: None, keeps=lambda result, keeps=keeps: keeps)  # type: ignore[misc]
        assert not before
        assert folders.run(values, lambda: None, keeps=lambda result: True) == (done, True)
        assert done.trained is not None
        assert len(done.trained.curve) > 1
    assert [folders.model(values).is_dir() for values in several] == [True, False, True]
    folders.keep_only(several[2], several)
    assert [folders.model(values).is_dir() for values in several] == [False, False, True]
    assert all(folders.done(values) for values in several)
    assert not list(folders.folder.glob("*/checkpoints/*"))

    (folders.model(several[0]).parent / "result.json").write_text('{"result":', encoding="utf-8")
    assert folders.done(several[0]) is None, "a damaged result counts as none"
    assert not folders.run(several[0], lambda: None, keeps=lambda result: False)[1]
    folders.clean()
    assert not folders.folder.exists()
