"""Leases, by which processes that share a folder claim work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

# A holder that does not renew its claim for this long has lost it. One that died on this machine loses it at once.
LEASE_SECONDS = 30.0
WAIT_SECONDS = 0.5
# While another process checks whether a lease has expired, its file is renamed for a moment.
ASIDE_SECONDS = 0.05


class ClaimLostError(Exception):
    """This process was stopped for so long that another one has taken over its work, or may have."""

    def __init__(self) -> None:
        super().__init__("this process was stopped for so long that another one has taken over")


class Claim:
    """The exclusive right to work on one thing, kept alive by a thread until it is released.

    It is a file, so it is also valid between machines that share the folder.
    """

    def __init__(self, file: Path) -> None:
        self._lost = threading.Event()
        self._empty: tuple[tuple[int, int], float] | None = None
        self._inode: int | None = None
        self._file = file
        self._lease = SoftFileLease(file, lease_duration=LEASE_SECONDS, on_compromise=self._compromised)

    @property
    def lost(self) -> bool:
        """Whether another process has taken over because this one was stopped for too long.

        This checks the file, since the thread that keeps the claim alive may not have run since the process resumed.
        """
        if not self._lost.is_set() and self._inode is not None and not self._is_there():
            time.sleep(ASIDE_SECONDS)
            if not self._is_there():
                self._lost.set()
        return self._lost.is_set()

    def check(self) -> None:
        """Raises a ClaimLostError if another process has taken over."""
        if self.lost:
            raise ClaimLostError

    def acquire(self) -> bool:
        """Takes the claim if it is free."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lease.acquire(timeout=0)
        except Timeout:
            self._remove_empty()
            return False
        self._inode = self._file.lstat().st_ino
        return True

    def release(self) -> None:
        """Releases the claim."""
        self._inode = None
        self._lease.release()

    def _is_there(self) -> bool:
        # The file is open, so its inode number can't be reused.
        try:
            return self._file.lstat().st_ino == self._inode
        except FileNotFoundError:
            return False
        except OSError:
            # If the file system does not answer, the claim may still exist.
            return True

    def _remove_empty(self) -> None:
        """Removes the empty file of a process that was killed before it could write its name.

        An empty file would be a claim that never expires; it expires once it has stayed unchanged for long enough.
        """
        try:
            status = self._file.lstat()
        except OSError:
            return
        key = (status.st_ino, status.st_mtime_ns)
        if status.st_size or self._empty is None or self._empty[0] != key:
            self._empty = None if status.st_size else (key, time.monotonic())
            return
        if time.monotonic() - self._empty[1] < LEASE_SECONDS:
            return
        aside = self._file.with_name(f".{self._file.name}-{os.getpid()}-{threading.get_ident()}")
        with suppress(FileNotFoundError):
            self._file.rename(aside)
            if aside.lstat().st_size:
                # Another process has removed the empty file meanwhile, and this is a new claim.
                with suppress(FileExistsError):
                    os.link(aside, self._file)
            aside.unlink()

    def _compromised(self, _: LeaseCompromise) -> None:
        self._lost.set()


@contextmanager
def claimed(file: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds the claim within the block; waits until it is free, and calls `on_wait` repeatedly while waiting."""
    claim = Claim(file)
    while not claim.acquire():
        on_wait()
        time.sleep(WAIT_SECONDS)
    try:
        yield
    finally:
        claim.release()
