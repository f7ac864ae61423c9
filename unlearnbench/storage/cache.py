"""A folder of things that can be computed again, addressed by a hash of everything that decides them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import platformdirs
import psutil

from unlearnbench.console.safe_text import safe
from unlearnbench.errors import UserError
from unlearnbench.storage.checksums import is_intact, write_checksums

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


def content_hash(value: Any) -> str:
    """Sixteen hex digits of the SHA-256 of `value` in canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_root() -> Path:
    """``UNLEARNBENCH_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("UNLEARNBENCH_CACHE") or platformdirs.user_cache_dir("unlearnbench"))


def check_cache() -> None:
    """Raises a UserError if the cache can't be written, before anything is computed that belongs there."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise _unwritable(root, error) from None


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"the cache folder {folder} can't be written ({error.strerror}): set UNLEARNBENCH_CACHE to a folder that can."
    )


@contextmanager
def filling(entry: Path) -> Iterator[Path]:
    """A scratch folder that becomes `entry` when the block ends well, and vanishes otherwise.

    Readers therefore see a whole entry or none, however the process ends. Checksums of its files lie beside them.
    """
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(entry)
        scratch = Path(tempfile.mkdtemp(prefix=f"{_scratch_prefix(entry)}{os.getpid()}-", dir=entry.parent))
    except OSError as error:
        raise _unwritable(entry.parent, error) from None
    try:
        yield scratch
        if entry.exists():
            return
        write_checksums(scratch)
        try:
            scratch.rename(entry)
        except OSError:
            if not entry.exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch_prefix(entry: Path) -> str:
    return f".{entry.name}-{platform.node()}-"


def _remove_orphans(entry: Path) -> None:
    """Deletes what killed processes of this machine have left of the same entry; it may be gigabytes."""
    for scratch in entry.parent.glob(f"{_scratch_prefix(entry)}*-*"):
        if not psutil.pid_exists(int(scratch.name.split("-")[-2])):
            shutil.rmtree(scratch, ignore_errors=True)


def discard(entry: Path) -> None:
    """Deletes a folder, if there is one and it can be.

    It is moved out of sight first: readers see the whole folder or none, however the process ends.
    """
    prefix = f".discarded-{entry.name}-"
    with suppress(OSError):
        entry.rename(entry.with_name(prefix + secrets.token_hex(4)))
    for remains in entry.parent.glob(f"{prefix}*"):
        shutil.rmtree(remains, ignore_errors=True)


def made(entry: Path, make: Callable[[Path], None]) -> Path:
    """The entry, which `make` fills if it is missing or its files are not what they were when they were made."""
    if not is_intact(entry):
        discard_damaged(entry)
        with filling(entry) as scratch:
            make(scratch)
    return entry


def discard_damaged(entry: Path) -> None:
    """Deletes a folder, if there is one, that is of no use any more, and says so."""
    if entry.is_dir():
        logger.warning(safe(f"{entry} is damaged and is made again"))
        discard(entry)


def cached(entry: Path, make: Callable[[Path], None], read: Callable[[Path], Value]) -> Value:
    """What `read` finds in `entry`, which `make` fills if it is missing or damaged."""
    try:
        return read(made(entry, make))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        if is_intact(entry):
            raise
        # Another process has found it damaged and is making it again.
        return read(made(entry, make))
