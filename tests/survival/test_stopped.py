"""Processes that are stopped for longer than their leases: another one takes over, and nothing counts as failed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import invoke
from tests.survival.processes import exit_code, finished_runs, results_of, start
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.storage import lease
from unlearnbench.tracking.store import KIND, Store

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("moment", ["training", "between trials"])
def test_resumed_process_leaves_its_cell_to_its_successor(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from unlearnbench_methods.ga import GradientAscent

    from unlearnbench.cell.trainer import Trainer

    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    reached = tmp_path / "reached"
    owner, attribute = (GradientAscent, "loss") if moment == "training" else (Trainer, "training_accuracies")
    original = getattr(owner, attribute)

    def stand_still_once(self: object, *arguments: object) -> object:
        if not reached.exists():
            reached.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return original(self, *arguments)

    monkeypatch.setattr(owner, attribute, stand_still_once)
    arguments = [*common, "--methods", "ga"]
    first = start([*arguments, "--results", tmp_path / "results"], tmp_path / "cache")
    os.waitpid(first, os.WUNTRACED)
    assert reached.exists()
    second = start([*arguments, "--results", tmp_path / "results"], tmp_path / "cache")
    assert exit_code(second) == 0, (tmp_path / "cache.log").read_text(encoding="utf-8")
    os.kill(first, signal.SIGCONT)
    assert exit_code(first) == 0, (tmp_path / "cache.log").read_text(encoding="utf-8")
    assert "another one has taken over" in (tmp_path / "cache.log").read_text(encoding="utf-8")
    assert set(finished_runs(tmp_path / "results").values()) == {1}
    assert not Store(tmp_path / "results")._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FAILED'")
    assert invoke(*arguments, "--results", tmp_path / "undisturbed").exit_code == 0
    ended, undisturbed = (open_entries(str(tmp_path / name)) for name in ("results", "undisturbed"))
    assert results_of(ended) == results_of(undisturbed)


def test_resumed_process_waits_for_the_one_that_runs_its_cell(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench_methods.ga import GradientAscent

    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    original = GradientAscent.loss
    first_stopped, second_runs, go_on = (tmp_path / name for name in ("first", "second", "go"))

    def take_turns(self: GradientAscent, batch: object) -> object:
        if not first_stopped.exists():
            first_stopped.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        elif not second_runs.exists():
            second_runs.touch()
            while not go_on.exists():
                time.sleep(0.1)
        return original(self, batch)

    monkeypatch.setattr(GradientAscent, "loss", take_turns)
    arguments = [*common, "--methods", "ga", "--results", tmp_path / "results"]
    first = start(arguments, tmp_path / "cache")
    os.waitpid(first, os.WUNTRACED)
    second = start(arguments, tmp_path / "cache")
    deadline = time.monotonic() + 300
    while not second_runs.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(first, signal.SIGCONT)
    time.sleep(4)
    go_on.touch()
    codes = [exit_code(first), exit_code(second)]
    assert codes == [0, 0], (tmp_path / "cache.log").read_text(encoding="utf-8")
    assert set(finished_runs(tmp_path / "results").values()) == {1}
    assert not Store(tmp_path / "results")._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FAILED'")
