"""Tuning once for all seeds: the first seed's cell finds the values, those of the other seeds take them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.conftest import invoke
from tests.survival.processes import exit_code, finished_runs, results_of, start
from unlearnbench.cell.cell import Cell
from unlearnbench.cell.trainer import Trainer
from unlearnbench.config import build_config
from unlearnbench.engine.training import DivergedError
from unlearnbench.grid.display import LogDisplay
from unlearnbench.grid.grid import build_grid, follow, shard_of
from unlearnbench.grid.runner import Runner
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.plugins import registry
from unlearnbench.tracking.store import KIND, Store

TRIALS = 3


@pytest.fixture
def command(model_folder: Path, data_folder: Path) -> list[object]:
    return [
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--methods", "ga", "--trials", TRIALS,
        "--set", "tuning.scope=grid", "--set", "base.kind=lora", "--set", "base.epochs=1", "--quiet",
    ]  # fmt: skip


@pytest.fixture
def settings(model_folder: Path, data_folder: Path) -> dict[str, Any]:
    return {
        "tasks": [f"path:{data_folder}"],
        "models": [str(model_folder)],
        "methods": ["ga"],
        "seeds": [0, 1, 2],
        "tuning": {"trials": TRIALS, "scope": "grid"},
        "base": {"kind": "lora", "epochs": 1},
    }


def method_cells(settings: dict[str, Any], **changed: Any) -> list[Cell]:
    cells = build_grid(build_config({**settings, **changed}, {}), registry())
    return [cell for cell in cells if cell.choice is not None]


def leaders(cells: list[Cell]) -> list[int | None]:
    return [None if cell.leader is None else cell.leader.scenario.seed for cell in cells]


def methods(results: Path) -> dict[int | None, Entry]:
    return {entry.seed: entry for entry in open_entries(str(results)) if entry.row == "ga"}


def trainings(results: Path) -> int:
    return len(Store(results)._search(f"tags.`{KIND}` = 'trial' and attributes.status = 'FINISHED'"))


def test_seeds_follow_the_first_or_the_one_that_was_tuned_before(settings: dict[str, Any]) -> None:
    cells = method_cells(settings)
    assert leaders(cells) == [None, 0, 0]
    assert [cell.tuned_on for cell in cells] == [0, 0, 0]
    assert len({cell.search for cell in cells}) == 1
    assert leaders(follow(cells, {cells[0].search: 2})) == [2, 2, None]
    later = follow(method_cells(settings, seeds=[3, 4]), {cells[0].search: 0})
    assert leaders(later) == [0, 0]
    assert later[0].leader is not None
    assert later[0].leader.key == cells[0].key
    assert follow(method_cells(settings, seeds=[1]), {cells[0].search: 0})[0].key == cells[1].key


def test_keys_know_on_which_seed_a_cell_was_tuned(settings: dict[str, Any]) -> None:
    cells = method_cells(settings)
    alone = method_cells(settings, tuning={"trials": TRIALS, "scope": "seed"})
    elsewhere = follow(cells, {cells[0].search: 2})
    assert len({cell.key for cell in [*cells, *alone, *elsewhere]}) == 9
    assert leaders(alone) == [None] * 3


def test_scope_is_nothing_where_nothing_is_searched(settings: dict[str, Any]) -> None:
    for changed in ({"tuning": {"trials": 1, "scope": "grid"}}, {"set": {"ga": {"learning_rate": 1e-4}}}):
        cells = method_cells(settings, **changed)
        assert leaders(cells) == [None] * 3
        assert [cell.tuned_on for cell in cells] == [None] * 3
    one, other = (method_cells(settings, tuning={"trials": 1, "scope": scope}) for scope in ("grid", "seed"))
    assert [cell.key for cell in one] == [cell.key for cell in other]


def test_shards_do_not_part_a_cell_from_its_leader(settings: dict[str, Any]) -> None:
    cells = method_cells(settings)
    assert [len(shard_of(cells, part, 3)) for part in (1, 2, 3)] == [3, 0, 0]


@pytest.mark.slow
def test_other_seeds_take_the_values_and_later_ones_too(command: list[object], tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert invoke(*command, "--seeds", "0,1", "--results", results).exit_code == 0
    assert trainings(results) == TRIALS + 1
    first, second = methods(results)[0], methods(results)[1]
    assert first.tuned_on == second.tuned_on == 0
    assert first.hyperparameters == second.hyperparameters
    assert first.edges == second.edges
    assert [len(first.trials), len(second.trials)] == [TRIALS, 1]
    assert second.metrics["trials"] == TRIALS
    assert second.metrics["tuning_wall_seconds"] == 0
    markdown = (results / "leaderboard.md").read_text(encoding="utf-8")
    assert "Tuned on seed 0, whose values the other seeds take: GA." in markdown

    assert invoke(*command, "--seeds", "2,1", "--results", results).exit_code == 0
    assert trainings(results) == TRIALS + 2, "only seed 2 is trained, once"
    assert methods(results)[2].hyperparameters == first.hyperparameters
    assert methods(results)[2].tuned_on == 0

    forced = invoke(*command, "--seeds", "2", "--results", results, "--force")
    assert forced.exit_code == 0
    assert trainings(results) == TRIALS + 3, "seed 0 is not tuned again"
    forced = invoke(*command, "--seeds", "0,1", "--results", results, "--force")
    assert forced.exit_code == 0
    assert trainings(results) == 2 * TRIALS + 4
    assert results_of(list(methods(results).values())) == results_of([first, second, methods(results)[2]])


@pytest.mark.slow
def test_values_of_a_leader_that_is_tuned_anew_are_trained_anew(
    command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower whose run was killed after its training must not report the leader's new values for that training."""
    results = tmp_path / "results"

    def killed(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        unlearned: list[int] = []
        evaluate = Trainer.evaluate_all

        def evaluate_all(trainer: Trainer, model: Any) -> Any:
            unlearned.append(trainer.scenario.seed)
            return killed() if unlearned.count(1) == 2 else evaluate(trainer, model)

        patched.setattr(Trainer, "evaluate_all", evaluate_all)
        assert invoke(*command, "--seeds", "0,1", "--results", results).exit_code == 130
    store = Store(results)
    ((search, _),) = store.tuned_seeds().items()
    run = store.tuned(search, 0)
    assert run is not None
    with store.record("cell", run.info.run_name, tags={**run.data.tags, KIND: "cell"}) as record:
        record.params({**run.data.params, "learning_rate": 0.0123})
        record.metrics(run.data.metrics)
    assert invoke(*command, "--seeds", "1", "--results", results).exit_code == 0
    assert methods(results)[1].hyperparameters["learning_rate"] == "0.0123"
    assert methods(results)[1].trials[0].number == 0
    assert trainings(results) == TRIALS + 2


@pytest.mark.slow
def test_first_seed_that_fails_takes_the_others_along_until_it_is_tried_again(
    command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    unlearn = Trainer.unlearn

    def diverges(trainer: Trainer, *given: Any) -> Any:
        if trainer.scenario.seed == 0:
            raise DivergedError("loss nan")
        return unlearn(trainer, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "unlearn", diverges)
        failed = invoke(*command, "--seeds", "0,1", "--results", results)
    assert failed.exit_code == 1
    reason = "seed 1 / ga: its values are those of seed 0, which has none: all 3 trials diverged"
    assert f"failed: tiny-llama / path:toy-data / {reason}" in failed.output
    assert methods(results) == {}
    again = invoke(*command, "--seeds", "0,1", "--results", results)
    assert again.exit_code == 1
    assert "0 cells to run" in again.output

    own = invoke(*command, "--seeds", "1,2", "--results", tmp_path / "results")
    assert own.exit_code == 0, "without the first seed the next one is tuned"
    assert {seed: entry.tuned_on for seed, entry in methods(results).items()} == {1: 1, 2: 1}

    retried = invoke(*command, "--seeds", "0,1", "--results", results, "--retry-failed")
    assert retried.exit_code == 0
    assert {seed: entry.tuned_on for seed, entry in methods(results).items()} == {0: 1, 1: 1, 2: 1}


@pytest.mark.slow
def test_leader_that_failed_is_tried_again_before_its_followers(
    command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"

    def diverges(*given: object) -> None:
        raise DivergedError("loss nan")

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "unlearn", diverges)
        assert invoke(*command, "--seeds", "0,1", "--results", results).exit_code == 1
    later = invoke(*command, "--seeds", "0,1,2", "--results", results)
    assert later.exit_code == 1, "seed 2 is new, but there are no values for it"
    assert "seed 2 / ga: its values are those of seed 0, which has none: " in later.output
    assert "all 3 trials diverged" in later.output
    assert invoke(*command, "--seeds", "0,1,2", "--results", results, "--retry-failed", "--force").exit_code == 0
    assert {entry.tuned_on for entry in methods(results).values()} == {0}


@pytest.mark.slow
def test_processes_wait_for_the_leader_or_help_and_agree(command: list[object], tmp_path: Path) -> None:
    seeds = ["--seeds", "0,1,2"]
    assert invoke(*command, *seeds, "--results", tmp_path / "alone").exit_code == 0
    shared, cache = tmp_path / "shared", tmp_path / "shared-cache"
    pids = [start([*command, *seeds, "--results", shared], cache) for _ in range(3)]
    assert [exit_code(pid) for pid in pids] == [0, 0, 0], cache.with_suffix(".log").read_text(encoding="utf-8")
    whole = open_entries(str(tmp_path / "alone"))
    assert results_of(open_entries(str(shared))) == results_of(whole)
    assert finished_runs(shared) == dict.fromkeys([entry.key for entry in whole], 1)
    assert not list((shared / "work").glob("*/*"))


@pytest.mark.slow
def test_leader_of_a_killed_process_is_taken_over(command: list[object], tmp_path: Path) -> None:
    seeds = ["--seeds", "0,1"]
    assert invoke(*command, *seeds, "--results", tmp_path / "alone").exit_code == 0
    shared, cache = tmp_path / "shared", tmp_path / "shared-cache"
    pid = start([*command, *seeds, "--results", shared], cache)
    while not list((shared / "work").glob("*/*/result.json")):
        time.sleep(0.02)
    other = start([*command, *seeds, "--results", shared], cache)
    os.kill(pid, signal.SIGKILL)
    assert exit_code(pid) == -signal.SIGKILL
    assert exit_code(other) == 0, cache.with_suffix(".log").read_text(encoding="utf-8")
    assert results_of(open_entries(str(shared))) == results_of(open_entries(str(tmp_path / "alone")))


@pytest.mark.slow
def test_helpers_leave_cells_alone_that_take_values(settings: dict[str, Any], tmp_path: Path) -> None:
    config = build_config({**settings, "results": str(tmp_path / "results")}, {})
    runner = Runner(config, Store(config.results), LogDisplay(Console(), [1.0], True).reporter(0))
    leader, *others = (cell for cell in build_grid(config, registry()) if cell.choice is not None)
    assert not runner.help(others)
    assert runner.help([*others, leader])
