"""Checksums of a folder's files, so that damage (a bad disk, a truncated copy) is noticed before the files are used."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

NAME = "checksums.json"
CHUNK_BYTES = 1 << 22


def write_checksums(folder: Path) -> None:
    """Writes the checksums that `is_intact` compares the folder's files with."""
    # A copied folder contains the checksums of the original.
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / NAME)
    checksums = {file.relative_to(folder).as_posix(): _checksum(file) for file in files}
    (folder / NAME).write_text(json.dumps(checksums, indent=1), encoding="utf-8")


def is_intact(folder: Path) -> bool:
    """Whether every file that the folder had when it was made still exists with the same content.

    A file is read once per process, and again only if it has changed since: about 0.1 s of CPU time per GiB.
    """
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return all(_checksum(folder / name) == checksum for name, checksum in known.items())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def weight_checksums(folder: Path) -> tuple[tuple[str, str], ...]:
    """Names and checksums that a folder's weights had when it was made; none if that is not known."""
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return tuple(sorted((name, checksum) for name, checksum in known.items() if name.endswith(".safetensors")))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ()


def _checksum(file: Path) -> str:
    status = file.stat()
    return _content_checksum(str(file), status.st_ino, status.st_size, status.st_mtime_ns)


@cache
def _content_checksum(file: str, inode: int, size: int, modified: int) -> str:
    """XXH3, which is ten times as fast as SHA-256; it detects damage, but does not protect against an attacker."""
    import xxhash

    digest = xxhash.xxh3_128()
    with Path(file).open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
