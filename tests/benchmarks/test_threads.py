"""The two measurements of threads, on work that takes no time."""

from __future__ import annotations

import pytest
import torch

from benchmarks import threads


def test_scaling_has_a_line_for_each_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(threads, "SHAPES", {"tiny": (32, 1, 2, 100)})
    before = torch.get_num_threads()
    try:
        threads.scaling(repeats=1)
    finally:
        torch.set_num_threads(before)
    head, _, line = capsys.readouterr().out.splitlines()
    assert head.startswith("| weights | 1 threads, ms |")
    assert line.startswith("| tiny |")


@pytest.mark.parametrize(("work", "code"), [("", 0), ("sleep", 1)])
def test_neighbour_fails_if_it_costs_too_much(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], work: str, code: int
) -> None:
    """The command is made up: it takes the time that it is told to, and longer in its third run."""
    clock = iter([0.0, 1.0, 10.0, 12.0, 20.0, 25.0 if work else 22.5])
    monkeypatch.setattr(threads.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(threads.subprocess, "run", lambda command, **options: None)
    assert threads.neighbour([]) == code
    assert f"{2.5 if work else 1.25:.2f} times" in capsys.readouterr().out
