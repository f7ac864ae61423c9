"""Runs that are killed at random times reach the results of an uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.survival.processes import exit_code, finished_runs, results_of, start
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.tracking.store import KIND, Store

pytestmark = pytest.mark.slow

KILLS = 20


def test_killed_runs_reach_the_results_of_an_uninterrupted_one(
    common: list[object], every_step: list[object], tmp_path: Path
) -> None:
    arguments = [*common, *every_step, "--methods", "npo-rt,spul", "--trials", 2]
    began = time.monotonic()
    pid = start([*arguments, "--results", tmp_path / "whole"], tmp_path / "whole-cache")
    assert exit_code(pid) == 0
    whole_seconds = time.monotonic() - began

    generator = random.Random(0)
    kills, rounds = 0, 0
    stages: Counter[str] = Counter()
    while kills < KILLS:
        results, cache = tmp_path / f"killed-{rounds}", tmp_path / f"cache-{rounds}"
        pid = start([*arguments, "--results", results], cache)
        time.sleep(generator.uniform(0.3, 0.9 * whole_seconds))
        stages[stage(results, cache)] += 1
        os.kill(pid, signal.SIGKILL)
        code = exit_code(pid)
        kills += code == -signal.SIGKILL
        if code != -signal.SIGKILL or kills == KILLS:
            # It had finished before, or is to finish now; then another one begins.
            pid = start([*arguments, "--results", results], cache)
            code = exit_code(pid)
            assert code == 0, cache.with_suffix(".log").read_text(encoding="utf-8")
            rounds += 1
    assert len(stages) > 2, stages
    whole = open_entries(str(tmp_path / "whole"))
    assert len(whole) == 4
    for number in range(rounds):
        results = tmp_path / f"killed-{number}"
        assert results_of(open_entries(str(results))) == results_of(whole)
        assert finished_runs(results) == dict.fromkeys([entry.key for entry in whole], 1)
        assert not list((results / "work").glob("*/*"))
        query = f"tags.`{KIND}` != 'invocation' and attributes.status = 'RUNNING'"
        assert not Store(results)._search(query)


def stage(results: Path, cache: Path) -> str:
    """The rough stage of a run, read from its files without MLflow, whose engines a fork would share."""
    if not list((cache / "base").glob("[!.]*/base.json")):
        return "base"
    with sqlite3.connect(results / "mlflow.db") as connection:
        query = (
            "select count(*) from runs join tags on tags.run_uuid = runs.run_uuid "
            f"where tags.key = '{KIND}' and tags.value = 'cell' and status = 'FINISHED'"
        )
        return f"{connection.execute(query).fetchone()[0]} cells finished"
