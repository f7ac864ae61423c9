"""The harness of faults: it goes on from its figures, notices every kind of problem, and its page tells its figures."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import files
from benchmarks.faults.figures import page_lines, play, summary
from benchmarks.faults.processes import Match
from unlearnbench.errors import UserError

ROOT = Path(__file__).parents[2]
CALM = {
    "results": {"a": [{"m": 1.0}, {}, {}]},
    "likelihoods": {"a": [-1.0, -2.0]},
    "finished": {"a": 1},
    "failed": [],
    "complete": True,
}


def test_rounds_that_were_played_are_not_played_again(tmp_path: Path) -> None:
    played: list[int] = []

    def one_round(seed: int) -> dict[str, Any]:
        played.append(seed)
        if seed == 2 and len(played) == 3:
            raise KeyboardInterrupt
        return {"faults": {"kills": seed}, "problems": ["lost"] if seed == 1 else []}

    file = tmp_path / "faults.json"
    with pytest.raises(KeyboardInterrupt):
        play("processes", 4, 0, file, one_round)
    rounds = play("processes", 4, 0, file, one_round)
    assert played == [0, 1, 2, 2, 3]
    assert [one["seed"] for one in json.loads(file.read_text(encoding="utf-8"))["processes"]] == [0, 1, 2, 3]
    assert summary(rounds) == "4 rounds; kills 6; 1 problems\nseed 1: lost"


@pytest.fixture
def match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Match:
    """A round that ended as if nothing had happened."""
    made = Match(tmp_path, tmp_path, tmp_path / "disk", random.Random(0))
    (tmp_path / "cwd").mkdir()
    made.results.mkdir(parents=True)
    made.log.write_text("leaderboard of results\n", encoding="utf-8")
    monkeypatch.setattr(Match, "found", lambda self, uri: dict(CALM))
    return made


def test_round_without_problems_has_none(match: Match) -> None:
    assert match.verify(CALM) == {"problems": []}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"results": {"a": [{"m": 2.0}, {}, {}]}}, "1 cells lack or differ: ['a']"),
        ({"results": {}}, "1 cells lack or differ: ['a']"),
        ({"likelihoods": {"a": [-1.0, -2.1]}}, "a: log-likelihoods differ by up to 0.1"),
        ({"likelihoods": {"a": [-1.0]}}, "a: log-likelihoods differ by up to inf"),
        ({"finished": {"a": 2}}, "cells were finished [2] times"),
        ({"failed": ["no room"]}, "a cell is recorded as failed: no room"),
        ({"complete": False}, "a result has lost its settings or predictions"),
    ],
)
def test_wrong_results_are_noticed(
    match: Match, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], problem: str
) -> None:
    monkeypatch.setattr(Match, "found", lambda self, uri: CALM | change)
    assert match.verify(CALM) == {"problems": [problem]}


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("cwd/mlruns", "written outside: ['mlruns']"),
        ("disk/results-9", "written to a former place: ['results-9']"),
        ("disk/results-0/work/cell/trial-0", "left in work: ['work/cell/trial-0']"),
    ],
)
def test_files_at_wrong_places_are_noticed(match: Match, tmp_path: Path, place: str, problem: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    assert match.verify(CALM) == {"problems": [problem]}


def test_traceback_is_noticed(match: Match) -> None:
    match.log.write_text("Traceback (most recent call last):\n  File\nKeyError: 'base'\n", encoding="utf-8")
    assert match.verify(CALM) == {"problems": ["a traceback: KeyError: 'base'"]}


def test_files_that_end_in_an_error_or_reach_outside_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(made: object, folder: Path) -> None:
        raise KeyError(made)

    def escape(made: object, folder: Path) -> None:
        (folder.parent / "outside").touch()

    def refuse(made: object, folder: Path) -> None:
        raise UserError("no")

    strategy = files.KINDS["configurations"][0]
    monkeypatch.setattr(files, "KINDS", {name: (strategy, use) for name, use in (
        ("crash", crash), ("escape", escape), ("refuse", refuse)
    )})  # fmt: skip
    found = files.play_files(0, 3)
    assert [problem.split(":")[0] for problem in found["problems"]] == ["crash", "escape"]
    assert found["faults"] == {"refuse refused": 3}


@pytest.mark.slow
@pytest.mark.parametrize("kind", files.KINDS)
def test_random_files_are_used_or_refused(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(files, "KINDS", {kind: files.KINDS[kind]})
    found = files.play_files(1, 40)
    assert found["problems"] == []
    assert sum(found["faults"].values()) >= 40


def test_page_tells_the_figures() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    figures = json.loads((ROOT / "docs" / "benchmark" / "faults.json").read_text(encoding="utf-8"))
    for kind, rounds in figures.items():
        assert page_lines(kind, rounds) in page
