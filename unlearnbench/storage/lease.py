"""Who works on what, where several processes share a folder."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

# A holder that shows no sign of life for this long has lost its claim. One that died on this machine loses it at once.
LEASE_SECONDS = 30.0
WAIT_SECONDS = 0.5
# While another process looks whether a lease has ended, its file has another name for a moment.
ASIDE_SECONDS = 0.05


class ClaimLostError(Exception):
    """This process stood still for so long that another one has taken over, or may have."""

    def __init__(self) -> None:
        super().__init__("this process was stopped for so long that another one has taken over")


class Claim:
    """The exclusive right to work on one thing, kept alive by a thread until it is released.

    It is a file, so that it also holds between machines that share the folder.
    """

    def __init__(self, file: Path) -> None:
        self._lost = threading.Event()
        self._empty: tuple[tuple[int, int], float] | None = None
        self._inode: int | None = None
        self._file = file
        self._lease = SoftFileLease(file, lease_duration=LEASE_SECONDS, on_compromise=self._compromised)

    @property
    def lost(self) -> bool:
        """Whether another process has taken over, since this one was stopped for too long.

        Looks at the file, as the thread that keeps the claim alive may not have run since the process goes on.
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
            self._drop_stillborn()
            return False
        self._inode = self._file.lstat().st_ino
        return True

    def release(self) -> None:
        """Gives it up."""
        self._inode = None
        self._lease.release()

    def _is_there(self) -> bool:
        # The open file keeps its number from being given to another one.
        try:
            return self._file.lstat().st_ino == self._inode
        except FileNotFoundError:
            return False
        except OSError:
            # A file system that does not answer says nothing about the claim.
            return True

    def _drop_stillborn(self) -> None:
        """Removes the file of a process that was killed before it could write itself into it.

        An empty file counts as a claim that never ends; here it ends once it has been seen unchanged for long enough.
        """
        try:
            found = self._file.lstat()
        except OSError:
            return
        key = (found.st_ino, found.st_mtime_ns)
        if found.st_size or self._empty is None or self._empty[0] != key:
            self._empty = None if found.st_size else (key, time.monotonic())
            return
        if time.monotonic() - self._empty[1] < LEASE_SECONDS:
            return
        aside = self._file.with_name(f".{self._file.name}-{os.getpid()}-{threading.get_ident()}")
        with suppress(FileNotFoundError):
            self._file.rename(aside)
            if aside.lstat().st_size:
                # Another process has removed it meanwhile, and this is somebody's new claim.
                with suppress(FileExistsError):
                    os.link(aside, self._file)
            aside.unlink()

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
