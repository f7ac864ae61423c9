"""What tells of the machine that a text was written on, and of its user: paths, names, tokens."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from functools import cache

from unlearnbench.console.safe_text import without_credentials

# Stands in shared settings for a folder, whose name follows.
FOLDER = "folder:"
# From the root of a file system, of a drive, or of a home: two parts at least, since "/" alone stands between words.
PLACE = re.compile(
    r"""(?<![\w./@~-])(?:~[\w.-]*/[\w.+@%~/-]*|/(?:[\w.+@%~-]+/)+[\w.+@%~-]*|/(?:home|Users|root|mnt|tmp)\b)
    |(?<!\w)[A-Za-z]:\\[^\s'"]*|\\\\[\w.-]+\\[^\s'"]*|\bfile:/+[^\s'"]*""",
    re.VERBOSE,
)
E_MAIL = re.compile(r"\b[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}\b")
# Accounts that say nothing of who uses them.
NOBODY = {"root", "user", "admin", "ubuntu", "debian", "runner", "jovyan", "nobody", "daemon", "test", "guest", "app"}
SHORTEST_NAME = 4
SEPARATORS = "/\\"


def is_place(text: str) -> bool:
    """Whether the text is nothing but an absolute path, or one from a home."""
    return PLACE.fullmatch(text) is not None


def without_places(text: str) -> str:
    """The text with the last part of each absolute path in its place.

    >>> without_places("data root /home/ada/hub has no folder glue/sst2")
    'data root hub has no folder glue/sst2'
    """
    return PLACE.sub(lambda found: re.split(r"[/\\]", found[0].rstrip(SEPARATORS))[-1], text)


def private_parts(text: str) -> Iterator[str]:
    """What of the text should not be shared, one description each; nothing secret is repeated."""
    if without_credentials(text) != text:
        yield "a password or token"
    for found in PLACE.finditer(text):
        yield f"the path {found[0]!r}"
    for found in E_MAIL.finditer(text):
        yield f"the address {found[0]!r}"
    name = _user()
    if name is not None and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE):
        yield f"the user name {name!r}"


@cache
def _user() -> str | None:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return None
    return name if len(name) >= SHORTEST_NAME and name.lower() not in NOBODY else None
