"""Who works on what, where several processes share a folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

# A holder that shows no sign of life for this long has lost its claim. One that died on this machine loses it at once.
LEASE_SECONDS = 30.0
WAIT_SECONDS = 0.5


class Claim:
    """The exclusive right to work on one thing, kept alive by a thread until it is released.

    It is a file, so that it also holds between machines that share the folder.
    """

    def __init__(self, file: Path) -> None:
        self._lost = threading.Event()
        self._file = file
        self._lease = SoftFileLease(file, lease_duration=LEASE_SECONDS, on_compromise=self._compromised)

    @property
    def lost(self) -> bool:
        """Whether another process may have taken over, since this one was stopped for too long."""
        return self._lost.is_set()

    def acquire(self) -> bool:
        """Takes the claim if it is free."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lease.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Gives it up."""
        self._lease.release()

    def _compromised(self, _: LeaseCompromise) -> None:
        self._lost.set()


@contextmanager
def claimed(file: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds the claim within the block; waits until it is free, and calls `on_wait` from time to time meanwhile."""
    claim = Claim(file)
    while not claim.acquire():
        on_wait()
        time.sleep(WAIT_SECONDS)
    try:
        yield
    finally:
        claim.release()
