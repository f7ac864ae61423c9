"""What a run tells its user while it works: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from unlearnbench.cell.reporter import Reporter
from unlearnbench.console.safe_text import safe
from unlearnbench.engine.training import Progress as TrainingProgress

LINE_EVERY_SECONDS = 30.0


class Display(Protocol):
    """Shows what all processes of a run do."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def reporter(self, process: int) -> Reporter:
        """What shows the events of one process; processes are numbered from 0."""

    def lost(self, process: int, reason: str) -> None:
        """A process has died, and its cell, if it had one, waits for another."""


class Forecast:
    """Time left: the estimates of what is not done, corrected by how the done cells compared with theirs."""

    def __init__(
        self, estimates: Sequence[float], processes: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._left = sum(estimates)
        self._processes = processes
        self._clock = clock
        self._spent = self._estimated = 0.0
        self._current: dict[int, tuple[float, float]] = {}

    def start(self, process: int, estimate: float) -> None:
        """A cell begins."""
        self._current[process] = (estimate, self._clock())

    def end(self, process: int) -> None:
        """The cell is over."""
        estimate, started = self._current.pop(process)
        self._left -= estimate
        self._estimated += estimate
        self._spent += self._clock() - started

    def drop(self, process: int) -> None:
        """The process is lost, and its cell, if it has one, is to be run again."""
        self._current.pop(process, None)

    @property
    def seconds_left(self) -> float:
        """Estimated seconds until the run ends: of work shared evenly, but no less than of any cell under way."""
        factor = self._spent / self._estimated if self._estimated else 1.0
        running = [
            (estimate * factor, min(estimate * factor, self._clock() - started))
            for estimate, started in self._current.values()
        ]
        shared = (self._left * factor - sum(spent for _, spent in running)) / self._processes
        return max(0.0, shared, *(whole - spent for whole, spent in running))


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


class LogDisplay:
    """Plain lines with the time of day, for pipes and logs; of several processes each line has its number."""

    def __init__(self, console: Console, estimates: Sequence[float], quiet: bool, processes: int = 1) -> None:
        self.console, self.quiet, self.processes = console, quiet, processes
        self.forecast = Forecast(estimates, processes)
        self.cells, self.started = len(estimates), 0
        self._reporters = [_LogReporter(self, process) for process in range(processes)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def reporter(self, process: int) -> Reporter:
        return self._reporters[process]

    def lost(self, process: int, reason: str) -> None:
        self.forecast.drop(process)
        self.say(process, f"process ended unexpectedly ({reason})")

    def say(self, process: int, text: str) -> None:
        """A line of one process."""
        mark = f"[{process + 1}] " if self.processes > 1 else ""
        line = f"{time.strftime('%H:%M:%S')} {mark}{safe(text)}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass
class _LogReporter:
    """The lines of one process."""

    display: LogDisplay
    process: int
    _stage: str = ""
    _last: float = 0.0

    def cell_started(self, name: str, seconds: float) -> None:
        display = self.display
        display.forecast.start(self.process, seconds)
        display.started += 1
        left = duration(display.forecast.seconds_left)
        self._say(f"cell {display.started}/{display.cells}: {name} (about {left} left in all)")

    def cell_ended(self, message: str) -> None:
        self.display.forecast.end(self.process)
        self._say(f"  {message}")

    def stage(self, name: str) -> None:
        self._stage, self._last = name, time.monotonic()
        if not self.display.quiet:
            self._say(f"  {name}")

    def step(self, progress: TrainingProgress) -> None:
        if not self.display.quiet and time.monotonic() - self._last >= LINE_EVERY_SECONDS:
            self._last = time.monotonic()
            self._say(f"  {self._stage}: step {progress.step}/{progress.steps}, loss {progress.loss:.4f}")

    def note(self, text: str) -> None:
        self._say(f"  note: {text}")

    def _say(self, text: str) -> None:
        self.display.say(self.process, text)


class LiveDisplay:
    """A display that is redrawn in place: the cells done, time left, and each process's cell, stage, step and loss."""

    def __init__(self, console: Console, estimates: Sequence[float], processes: int = 1) -> None:
        self.console = console
        self.forecast = Forecast(estimates, processes)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._cells = self.progress.add_task("cells", total=len(estimates), note="")
        self._reporters = [
            _LiveReporter(self, self.progress.add_task("", total=None, note="")) for _ in range(processes)
        ]

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def reporter(self, process: int) -> Reporter:
        return self._reporters[process]

    def lost(self, process: int, reason: str) -> None:
        self._reporters[process].lost(reason)

    def cell_ended(self) -> None:
        """One more cell is over."""
        self.progress.advance(self._cells)
        self.show_time_left()

    def show_time_left(self) -> None:
        """Shows the forecast."""
        self.progress.update(self._cells, note=f"about {duration(self.forecast.seconds_left)} left")

    def say(self, text: str) -> None:
        """A line above the display."""
        self.progress.console.print(safe(text), markup=False, highlight=False)


@dataclass
class _LiveReporter:
    """The line of one process, shown while it has something to do."""

    display: LiveDisplay
    line: TaskID
    _name: str = ""
    _stage: str = ""

    def cell_started(self, name: str, seconds: float) -> None:
        self.display.forecast.start(self.line, seconds)
        self._name = safe(name)
        self.display.progress.reset(self.line, description=self._name, total=None, note="", visible=True)

    def cell_ended(self, message: str) -> None:
        self.display.forecast.end(self.line)
        self.display.cell_ended()
        self.display.say(f"{self._name}: {message}")
        self._clear()

    def stage(self, name: str) -> None:
        self.display.progress.reset(self.line, total=None, note=safe(name), visible=True)
        self._stage = name

    def step(self, progress: TrainingProgress) -> None:
        note = f"{self._stage}, loss {progress.loss:.4f}"
        self.display.progress.update(self.line, total=progress.steps, completed=progress.step, note=note)
        self.display.show_time_left()

    def note(self, text: str) -> None:
        self.display.say(f"note: {text}")

    def lost(self, reason: str) -> None:
        """The process has died."""
        self.display.forecast.drop(self.line)
        self.display.say(f"{self._name or 'a process'}: ended unexpectedly ({reason})")
        self._clear()

    def _clear(self) -> None:
        self._name = self._stage = ""
        self.display.progress.reset(self.line, description="", total=None, note="", visible=False)


def make_display(console: Console, estimates: Sequence[float], quiet: bool, processes: int = 1) -> Display:
    """A live display on a terminal, lines elsewhere or where `quiet` asks for few of them."""
    if console.is_terminal and not quiet:
        return LiveDisplay(console, estimates, processes)
    return LogDisplay(console, estimates, quiet, processes)
