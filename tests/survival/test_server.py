"""MLflow servers that are down or truncate responses: the run waits, retries, or stops and can be resumed."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import invoke
from tests.survival.mlflow_server import free_port, serve, stop
from tests.survival.processes import finished_runs, results_of, start
from tests.survival.relay import relay_to
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.tracking.server import ServerDownError

pytestmark = pytest.mark.slow


def until(condition: Callable[[], object], seconds: float) -> None:
    """Waits until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.05)


def test_server_may_be_down_for_a_while(common: list[object], every_step: list[object], tmp_path: Path) -> None:
    port = free_port()
    server = serve(tmp_path, port)
    uri = f"http://127.0.0.1:{port}"
    arguments = [*common, *every_step, "--methods", "ga", "--trials", 2, "--tracking-uri", uri]
    pid = start([*arguments, "--results", tmp_path / "results"], tmp_path / "cache")
    try:
        until(lambda: list((tmp_path / "results" / "work").glob("*.lease")), 60)
        stop(server)
        time.sleep(5)
        server = serve(tmp_path, port)
        ended: list[int] = []
        until(lambda: ended.extend(status for found, status in [os.waitpid(pid, os.WNOHANG)] if found) or ended, 150)
        assert ended == [0], (tmp_path / "cache.log").read_text(encoding="utf-8")
        entries = open_entries(uri)
    finally:
        stop(server)
    assert {entry.row for entry in entries} == {"vanilla", "base", "ga"}
    assert all(entry.right for entry in entries)


def test_truncated_responses_and_silence_lose_no_results(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("unlearnbench.tracking.server.PAUSE_SECONDS", 0.0)
    arguments = [*common, "--methods", "ga,spul", "--trials", 2]
    assert invoke(*arguments, "--results", tmp_path / "unbroken").exit_code == 0
    unbroken = results_of(open_entries(str(tmp_path / "unbroken")))
    port = free_port()
    server = serve(tmp_path, port)
    try:
        with relay_to(port) as relay:
            arguments += ["--tracking-uri", relay.uri, "--results", tmp_path / "results"]
            for answered in (2, 25, 60):
                relay.answered = answered
                stopped = invoke(*arguments).exception
                assert isinstance(stopped, ServerDownError), stopped
                assert "the same command goes on" in str(stopped)
            relay.answered = math.inf
            outcome = invoke(*arguments)
            assert outcome.exit_code == 0, (outcome.output, outcome.exception)
            results = results_of(open_entries(relay.uri))
            assert set(finished_runs(tmp_path / "results", relay.uri).values()) == {1}
    finally:
        stop(server)
    assert results == unbroken
    written = {f"POST mlflow/runs/{request}" for request in ("create", "log-batch", "update")}
    assert written | {"POST mlflow/runs/search", "GET mlflow-artifacts"} <= relay.broken
