"""The harness of faults: it goes on from its figures, notices every kind of problem, and its page tells its figures."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import files
from benchmarks.faults.clock import prepared_environment
from benchmarks.faults.figures import page_lines, play, summary
from benchmarks.faults.forks import fork
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


def in_single_thread(program: str, **environment: str) -> list[Any]:
    """What a program prints as JSON, in a process that may be forked."""
    command = [sys.executable, "-c", program]
    printed = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in printed.stdout.splitlines()]


def test_process_with_threads_is_not_forked() -> None:
    ended = threading.Event()
    threading.Thread(target=ended.wait, daemon=True).start()
    with pytest.raises(RuntimeError, match="threads can't be forked"):
        fork(lambda: 0)
    ended.set()


FORKS = """
import json, os, signal, sys, time
from benchmarks.faults.forks import asked, end, ended, fork
print(json.dumps(asked(lambda: {"pid": os.getpid()})["pid"] != os.getpid()))
print(json.dumps([ended(fork(lambda: code), 30) for code in (0, 3)]))
print(json.dumps(ended(fork(lambda: sys.exit(2)), 30)))
sleeping = fork(lambda: time.sleep(60) or 0)
print(json.dumps(ended(sleeping, 0.2)))
os.kill(sleeping, signal.SIGSTOP)
end(sleeping)
print(json.dumps("problems" in asked(lambda: {}["nothing"])))
"""


def test_forked_processes_return_codes_answers_and_their_errors() -> None:
    assert in_single_thread(FORKS) == [True, [0, 3], 2, None, True]


CLOCK = """
import datetime, json, sqlite3, threading, time
from benchmarks.faults.clock import set_clock
set_clock(-3600.0)
asleep = time.monotonic()
time.sleep(0.1)
threading.Event().wait(0.1)
told = sqlite3.connect(":memory:").execute("select unixepoch()").fetchone()[0]
print(json.dumps([time.time(), datetime.datetime.now().timestamp(), told, time.monotonic() - asleep]))
"""


def test_clock_of_a_process_is_off_for_every_library_and_waiting_is_not(tmp_path: Path) -> None:
    prepared = prepared_environment(tmp_path)
    if prepared is None:
        pytest.skip("there is no C compiler")
    ((*told, waited),) = in_single_thread(CLOCK, **prepared)
    assert told == pytest.approx([time.time() - 3600] * 3, abs=30)
    assert 0.15 < waited < 20


RELAY = """
import http.client, json, os, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from benchmarks.faults.forks import end, fork
from benchmarks.faults.server import relayed
from tests.survival.relay import SPACING

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"an answer")

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
serving = fork(lambda: server.serve_forever() or 0)
with relayed(server.server_port) as (uri, broken):
    # They live on, as the processes of a round do, and hold whatever they have inherited.
    others, answers = [], []
    for number in range(SPACING + 1):
        connection = http.client.HTTPConnection(uri.removeprefix("http://"), timeout=20)
        connection.request("GET", f"/api/2.0/runs?page={number}")
        answer = connection.getresponse()
        others.append(fork(lambda: time.sleep(60) or 0))
        try:
            answers.append(len(answer.read()))
        except http.client.IncompleteRead as error:
            answers.append(len(error.partial))
for pid in (*others, serving):
    end(pid)
print(json.dumps(answers))
print(json.dumps(sorted(broken)))
"""


def test_answers_that_break_off_end_though_other_processes_were_forked_meanwhile() -> None:
    answers, broken = in_single_thread(RELAY)
    assert sorted(answers) == [8] + [9] * 8
    assert broken == ["GET runs"]


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
