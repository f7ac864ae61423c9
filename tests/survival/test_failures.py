"""Failed cells are recorded with their reason; the other cells still run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import invoke
from unlearnbench.leaderboard.files import open_entries

pytestmark = pytest.mark.slow


def test_failed_cells_are_run_again_only_with_retry_failed(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench_methods.ga import GradientAscent

    arguments = [*common, "--results", tmp_path / "results", "--methods", "ga"]
    good = GradientAscent.loss
    monkeypatch.setattr(GradientAscent, "loss", lambda self, batch: 1 / 0)
    assert invoke(*arguments).exit_code == 1
    monkeypatch.setattr(GradientAscent, "loss", good)
    again = invoke(*arguments)
    assert again.exit_code == 1
    assert "0 cells to run, 2 finished before, 1 failed before (--retry-failed runs them again)" in again.output
    assert "ZeroDivisionError" in again.output
    assert "ZeroDivisionError" in (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    retried = invoke(*arguments, "--retry-failed")
    assert retried.exit_code == 0, retried.output
    assert "failed" not in (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8").lower()


def test_cell_that_takes_too_long_is_given_up(common: list[object], tmp_path: Path) -> None:
    outcome = invoke(*common, "--results", tmp_path / "results", "--methods", "ga", "--cell-timeout", 0.001)
    assert outcome.exit_code == 1
    assert "it took longer than cell_timeout, 0.001 seconds" in outcome.output


def test_insufficient_memory_fails_only_that_cell(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from unlearnbench_methods.ga import GradientAscent

    def short(self: object, batch: object) -> None:
        raise torch.OutOfMemoryError("made up")

    monkeypatch.setattr(GradientAscent, "loss", short)
    outcome = invoke(*common, "--results", tmp_path / "results", "--methods", "ga,spul")
    assert outcome.exit_code == 1
    assert "OutOfMemoryError: made up" in outcome.output
    assert {entry.row for entry in open_entries(str(tmp_path / "results"))} == {"vanilla", "base", "spul"}
