"""The one error a user is meant to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from unlearnbench.console.safe_text import safe


class UserError(Exception):
    """Something the user can mend: the message names the thing, its value and the remedy.

    The command line prints it as one line and exits with code 2, without a traceback. The message may quote what
    strangers wrote: control characters are spelt out, credentials left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(safe(message))


class ModelError(UserError):
    """A model can't be had, or can't be run as configured; other models may be fine."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message as a sentence, or the error's type."""
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    return line if line.endswith((".", "!", "?")) else line + "."


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that ends a message about an unknown name: the nearest known ones, or all of them.

    >>> nearest("spull", ["spul", "ga"])
    "did you mean 'spul'?"
    """
    known = sorted(known)
    as_known = {one.lower(): one for one in known}
    close = [as_known[one] for one in difflib.get_close_matches(name.lower(), as_known, n=2, cutoff=0.6)]
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "known: " + (", ".join(known) or "none") + "."
