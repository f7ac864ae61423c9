"""Storage errors (disk full, read-only) that stop a run, because no later cell could be recorded either."""

from __future__ import annotations

import errno

from unlearnbench.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT}
READ_ONLY = {errno.EROFS, errno.EACCES}


def stop_on_full_storage(error: BaseException) -> None:
    """Raises a UserError if the error, or one that caused it, means that nothing can be written any more."""
    seen: BaseException | None = error
    while seen is not None:
        number, text = getattr(seen, "errno", None), str(seen).lower()
        if number in FULL or "disk is full" in text or "no space left" in text:
            raise UserError(
                "the disk is full: make room and run the same command again; finished cells are safe."
            ) from error
        # SQLite's message if it can't map its files.
        if "disk i/o error" in text:
            raise UserError(
                "the disk is full or failing (SQLite: disk I/O error): fix that and run the same command again."
            ) from error
        # SQLite's message if it can't create them.
        if "unable to open database file" in text:
            raise UserError(
                "a database of the results folder can't be opened (SQLite: unable to open database file): make room "
                "for files on its disk, or make the folder writable, and run the same command again."
            ) from error
        if number in READ_ONLY or "readonly database" in text:
            raise UserError(
                f"results or cache can't be written ({seen}): make the folder writable and run the same command again; "
                "finished cells are safe."
            ) from error
        seen = seen.__cause__ or seen.__context__
