"""What long preparations report on standard error."""

from __future__ import annotations

import time

import pytest

from unlearnbench.console import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that `track` sees."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_long_preparation_reports_progress_and_remaining_time(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    done = []
    for item in progress.track(list(range(100)), "embeddings"):
        done.append(item)
        clock[0] += 1.0
    said = capsys.readouterr()
    assert done == list(range(100))
    assert said.out == ""
    lines = [line.split(" ", 1)[1] for line in said.err.splitlines()]
    # The first after three seconds, then every ten.
    assert lines[0] == "embeddings: 3 % (about 0:01:37 left)"
    assert lines[1] == "embeddings: 13 % (about 0:01:27 left)"
    assert lines[-1] == "embeddings: done in 0:01:40"
    assert len(lines) == 11


def test_short_preparation_reports_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track("abc", "letters")) == ["a", "b", "c"]
    with progress.working("reading"):
        pass
    assert capsys.readouterr().err == ""


def test_work_without_countable_steps_reports_that_it_is_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.01)
    with progress.working("reading owner/reviews"):
        time.sleep(0.1)
    assert "reading owner/reviews ... (0:00:00)" in capsys.readouterr().err
