"""Processes that are forked from this one, which has imported everything and has no threads."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.05


def fork(work: Callable[[], int]) -> int:
    """Does the work in a process (and session) of its own, which ends with the code that it returns; its id.

    Raises:
        RuntimeError: this process has other threads, whose locks nobody would ever release in the new one.
    """
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and len(list(tasks.iterdir())) > 1:
        raise RuntimeError("a process that has threads can't be forked")
    return forked(work)


def forked(work: Callable[[], int]) -> int:
    """As `fork`, for a caller that knows that the process's other threads hold no lock that is needed."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            code = work()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid


def ended(pid: int, seconds: float) -> int | None:
    """The exit code of a process (negative for a signal) once it has ended; None if it has not by then."""
    until = time.monotonic() + seconds
    while not (found := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > until:
            return None
        time.sleep(POLL_SECONDS)
    return os.waitstatus_to_exitcode(found[1])


def end(pid: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Ends a process, which may be stopped."""
    os.kill(pid, by)
    os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)


def asked(question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a function returns in a process of its own, so that this one opens no database and starts no thread."""
    reading, writing = os.pipe()

    def answer() -> int:
        try:
            text = json.dumps(question())
        except BaseException:
            text = json.dumps({"problems": [traceback.format_exc()]})
        with os.fdopen(writing, "w") as pipe:
            pipe.write(text)
        return 0

    pid = fork(answer)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found: dict[str, Any] = json.load(pipe)
    os.waitpid(pid, 0)
    return found
