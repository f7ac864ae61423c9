"""Trouble with where results are kept: what stops a run, since no further cell could be recorded either."""

from __future__ import annotations

import errno

from unlearnbench.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT}
READ_ONLY = {errno.EROFS, errno.EACCES}


def stop_on_full_storage(error: BaseException) -> None:
    """Raises a UserError where the error, or one that it came from, says that nothing can be written any more."""
    seen: BaseException | None = error
    while seen is not None:
        number, text = getattr(seen, "errno", None), str(seen).lower()
        if number in FULL or "disk is full" in text or "no space left" in text:
            raise UserError(
                "the disk is full: make room and run the same command again; finished cells are safe."
            ) from error
        # What SQLite says where it can't even map its files.
        if "disk i/o error" in text:
            raise UserError(
                "the disk is full or failing (SQLite: disk I/O error): see to it and run the same command again."
            ) from error
        # What it says if it can't make them.
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
