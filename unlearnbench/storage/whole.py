"""Writes files completely or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def write_whole(texts: Mapping[Path, str]) -> None:
    """Writes the texts to files and replaces existing ones; if one can't be written, none is changed.

    A reader sees each file either as it was before or complete, even after a crash.

    Raises:
        OSError: a folder can't be written, or the disk is full.
    """
    written: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            if path.exists() and not path.is_file():
                # A terminal or a pipe: it has no content to preserve.
                path.write_text(text, encoding="utf-8")
                continue
            target = path.resolve()
            scratch = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
            written[scratch] = target
            with scratch.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                scratch.chmod(target.stat().st_mode & 0o7777)
        for scratch, target in written.items():
            scratch.replace(target)
    finally:
        for scratch in written:
            with suppress(OSError):
                scratch.unlink()
