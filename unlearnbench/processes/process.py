"""The main program of a process that `local.LocalWorkers` has started.

It listens on a connection. If the connection ends, for whatever reason, the process stops: what it is running ends as
after Ctrl-C, is recorded as KILLED, and resumes with the same command.
"""

from __future__ import annotations

import io
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue


def main(descriptor: int) -> None:
    """Carries out orders from the connection at this file descriptor until it ends."""
    # A shell that starts a run in the background may make it ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    connection = Connection(descriptor)
    received: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, received), daemon=True).start()
    try:
        _work(connection, received)
    except KeyboardInterrupt:
        pass
    except OSError:
        if not connection.closed:
            raise


def _listen(connection: Connection, received: SimpleQueue[bytes]) -> None:
    try:
        while True:
            received.put(connection.recv_bytes())
    except (EOFError, OSError):
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)


def _work(connection: Connection, received: SimpleQueue[bytes]) -> None:
    lock = threading.Lock()

    def send(message: object) -> None:
        with lock:
            try:
                connection.send(message)
            except BrokenPipeError:
                raise KeyboardInterrupt from None

    setup = received.get()
    from unlearnbench.processes.messages import Happened, Ready
    from unlearnbench.processes.worker import Worker, stopped

    sys.stdout = sys.stderr = _Lines(lambda line: send(Happened("note", (line,))))
    try:
        worker = Worker(pickle.loads(setup), send)
    except Exception as error:
        send(stopped(error))
        return
    send(Ready())
    while True:
        send(worker.do(pickle.loads(received.get())))


class _Lines(io.TextIOBase):
    """Text that libraries print, line by line."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._tell(line.rstrip())
        return len(text)
