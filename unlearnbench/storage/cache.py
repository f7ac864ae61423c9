"""The cache of computed files: each entry is a folder, named by a hash of everything that determines its content."""

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
    """Raises a UserError if the cache can't be written, before anything is computed for it."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise _unwritable(root, error) from None


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"the cache folder {folder} can't be written ({error.strerror}): set UNLEARNBENCH_CACHE to a writable folder."
    )


@contextmanager
def filling(entry: Path) -> Iterator[Path]:
    """A temporary folder that becomes `entry` if the block succeeds, and is deleted otherwise.

    So readers see a complete entry or none, even if the process is killed. The entry includes checksums of its files.
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
    """Deletes temporary folders for the same entry that killed processes of this machine have left behind."""
    for scratch in entry.parent.glob(f"{_scratch_prefix(entry)}*-*"):
        if not psutil.pid_exists(int(scratch.name.split("-")[-2])):
            shutil.rmtree(scratch, ignore_errors=True)


def discard(entry: Path) -> None:
    """Deletes a folder if it exists and can be deleted.

    It is renamed first, so that readers see the complete folder or none, even if the process is killed.
    """
    prefix = f".discarded-{entry.name}-"
    with suppress(OSError):
        entry.rename(entry.with_name(prefix + secrets.token_hex(4)))
    for leftover in entry.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def made(entry: Path, make: Callable[[Path], None]) -> Path:
    """The entry, which `make` fills if it is missing or damaged."""
    if not is_intact(entry):
        discard_damaged(entry)
        with filling(entry) as scratch:
            make(scratch)
    return entry


def discard_damaged(entry: Path) -> None:
    """Deletes a damaged folder, if there is one, and logs a warning."""
    if entry.is_dir():
        logger.warning(safe(f"{entry} is damaged and is made again"))
        discard(entry)


def cached(entry: Path, make: Callable[[Path], None], read: Callable[[Path], Value]) -> Value:
    """What `read` returns for `entry`, which `make` fills if it is missing or damaged."""
    try:
        return read(made(entry, make))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        if is_intact(entry):
            raise
        # Another process has noticed the damage and is making the entry again.
        return read(made(entry, make))
