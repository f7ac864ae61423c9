"""Forecast and displays."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from unlearnbench.engine.training import Progress
from unlearnbench.grid.display import Forecast, LiveDisplay, LogDisplay, duration, make_display


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_learns_from_finished_cells() -> None:
    clock = Clock()
    forecast = Forecast([10.0, 10.0, 20.0], clock=clock)
    assert forecast.seconds_left == 40.0
    forecast.start(0, 10.0)
    clock.now = 5.0
    assert forecast.seconds_left == 35.0
    clock.now = 20.0
    forecast.end(0)
    # The first cell took twice its estimate, so the other thirty seconds will take sixty.
    assert forecast.seconds_left == 60.0
    forecast.start(0, 10.0)
    clock.now = 30.0
    assert forecast.seconds_left == 50.0
    clock.now = 1000.0
    assert forecast.seconds_left == 40.0


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00:00"), (61, "0:01:01"), (3600, "1:00:00")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_reporter_fits_the_place_it_writes_to() -> None:
    assert isinstance(make_display(Console(file=StringIO(), force_terminal=True), [1.0], quiet=False), LiveDisplay)
    assert isinstance(make_display(Console(file=StringIO(), force_terminal=True), [1.0], quiet=True), LogDisplay)
    assert isinstance(make_display(Console(file=StringIO()), [1.0], quiet=False), LogDisplay)


def test_log_lines_name_cell_stage_and_result() -> None:
    output = StringIO()
    with LogDisplay(Console(file=output), [60.0, 60.0], quiet=False) as display:
        reporter = display.reporter(0)
        reporter.cell_started("m / sst2 / seed 0 / ga", 60.0)
        reporter.stage("trial 1: learning_rate=[red]1e-05")
        reporter.step(Progress(1, 10, 0, 2.5))
        reporter.cell_ended("accuracy [x] 50.0 %")
    lines = output.getvalue().splitlines()
    assert "cell 1/2: m / sst2 / seed 0 / ga (about 0:02:00 left in all)" in lines[0]
    assert lines[1].endswith("trial 1: learning_rate=[red]1e-05")
    assert lines[2].endswith("accuracy [x] 50.0 %")
    assert len(lines) == 3  # steps are shown every half minute only


def test_quiet_log_has_no_stages() -> None:
    output = StringIO()
    with LogDisplay(Console(file=output), [60.0], quiet=True) as display:
        reporter = display.reporter(0)
        reporter.cell_started("cell", 60.0)
        reporter.stage("evaluation")
        reporter.cell_ended("done")
    assert "evaluation" not in output.getvalue()


def test_live_display_shows_cell_step_loss_and_time_left() -> None:
    output = StringIO()
    console = Console(file=output, force_terminal=True, width=160)
    with LiveDisplay(console, [60.0, 60.0]) as display:
        reporter = display.reporter(0)
        reporter.cell_started("m / sst2 / seed 0 / ga", 60.0)
        reporter.stage("trial 1")
        reporter.step(Progress(3, 10, 0, 2.5))
        display.progress.refresh()
        reporter.cell_ended("accuracy 50.0 %")
    shown = output.getvalue()
    for expected in ("m / sst2 / seed 0 / ga", "trial 1, loss 2.5000", "3/10", "left", "accuracy 50.0 %"):
        assert expected in shown


def test_time_left_of_several_processes_is_shared_but_not_less_than_a_cell_takes() -> None:
    clock = Clock()
    forecast = Forecast([10.0, 10.0, 20.0], processes=2, clock=clock)
    assert forecast.seconds_left == 20.0
    forecast.start(0, 10.0)
    forecast.start(1, 20.0)
    assert forecast.seconds_left == 20.0
    clock.now = 10.0
    forecast.end(0)
    assert forecast.seconds_left == 10.0
    forecast.drop(1)
    assert forecast.seconds_left == 15.0
    forecast.drop(1)


def test_one_display_shows_all_processes() -> None:
    output = StringIO()
    console = Console(file=output, force_terminal=True, width=160)
    with LiveDisplay(console, [60.0, 60.0], processes=2) as display:
        for process, name in enumerate(("first", "second")):
            display.reporter(process).cell_started(f"m / {name}", 60.0)
            display.reporter(process).stage(f"trial of the {name}")
            display.reporter(process).step(Progress(3 + process, 10, 0, 2.5))
        display.progress.refresh()
        frame = output.getvalue()[-1500:]
        for expected in ("0/2", "m / first", "trial of the first, loss 2.5000", "3/10", "m / second", "4/10"):
            assert expected in frame
        display.lost(1, "killed by SIGKILL")
        display.reporter(0).cell_ended("accuracy 50.0 %")
        assert [task.visible for task in display.progress.tasks] == [True, False, False], "they have nothing to do"
    assert "m / second: ended unexpectedly (killed by SIGKILL)" in output.getvalue()
    assert "m / first: accuracy 50.0 %" in output.getvalue()
