"""Worker processes on this machine."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Self

from unlearnbench.models.threads import wait_passively
from unlearnbench.processes.messages import Lost, Message, Order
from unlearnbench.processes.worker import Setup

# How long processes may take to record that they were interrupted, before they are killed.
GRACE_SECONDS = 10.0
# Passes on this process's paths, so that the worker imports the same modules whatever the working directory contains.
CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from unlearnbench.processes.process import main; main(int(sys.argv[1]))"
)


class LocalWorkers:
    """Starts `count` processes, and stops them when its block ends.

    They run in sessions of their own, so that only this process gets Ctrl-C; it then stops each of them once.
    """

    def __init__(self, setup: Setup, count: int) -> None:
        self._setup = pickle.dumps(setup)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._connections: dict[int, Connection] = {}
        self._count = count

    def __enter__(self) -> Self:
        try:
            for worker in range(self._count):
                self.restart(worker)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def restart(self, worker: int) -> None:
        wait_passively()
        ours, theirs = Pipe()
        arguments = [sys.executable, "-c", CODE, str(theirs.fileno()), json.dumps(sys.path)]
        self._connections[worker] = ours
        self._processes[worker] = subprocess.Popen(
            arguments, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True, env=os.environ
        )
        theirs.close()
        # If the process is already dead, `receive` will notice.
        with suppress(OSError):
            ours.send_bytes(self._setup)

    def give(self, worker: int, order: Order) -> None:
        with suppress(OSError):
            self._connections[worker].send(order)

    def receive(self, seconds: float) -> list[tuple[int, Message]]:
        workers = {connection: worker for worker, connection in self._connections.items()}
        messages: list[tuple[int, Message]] = []
        for connection in wait(list(workers), seconds):
            assert isinstance(connection, Connection)
            worker = workers[connection]
            try:
                messages.append((worker, connection.recv()))
            except (EOFError, OSError):
                messages.append((worker, Lost(self._cause_of_death(worker))))
        return messages

    def _cause_of_death(self, worker: int) -> str:
        """Waits until a process that has closed its connection is dead, so that its leases expire, too."""
        self._connections.pop(worker).close()
        process = self._processes.pop(worker)
        try:
            code = process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name
        return f"killed by {name}{', as when memory runs out' if name == 'SIGKILL' else ''}"

    def _stop(self) -> None:
        for connection in self._connections.values():
            connection.close()
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            for process in self._processes.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for process in self._processes.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()
