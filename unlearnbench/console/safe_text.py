"""Makes text safe to show or store: without terminal control sequences, without credentials.

File names, rows, leaderboards and error messages may come from strangers; URLs may contain passwords.
"""

from __future__ import annotations

import os
import re
import unicodedata

HIDDEN = "***"
USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s'\"]*@", re.IGNORECASE)
NAMED_SECRET = re.compile(
    r"""(\b(?:[a-z_-]*password|passwd|passphrase|pwd|[a-z_-]*token|[a-z_-]*secret|api_?key|access_?key|sig(?:nature)?)
    (?:=|%3D))[^\s&;'"]+""",
    re.IGNORECASE | re.VERBOSE,
)
AUTHORIZATION = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}")
KNOWN_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|AKIA[A-Z0-9]{16})\b")
SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCESS_KEY", "PGPASSWORD",
)  # fmt: skip
# A shorter value would match parts of harmless words.
SHORTEST_SECRET = 6


def safe(text: str) -> str:
    """One line that may be shown on a terminal, in a log or on a page, and stored."""
    return printable(without_credentials(text))


def printable(text: str, lines: bool = False) -> str:
    r"""The text with unprintable characters (control, bidirectional, unassigned) escaped, as in ``\x1b``.

    Args:
        lines: whether to keep line breaks.

    >>> printable("a\x1b]0;title\x07")
    'a\\x1b]0;title\\x07'
    """
    if text.isprintable():
        return text
    kept = {"\n"} if lines else set()
    return "".join(c if c.isprintable() or c in kept else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


def without_credentials(text: str) -> str:
    """The text with ``***`` in place of passwords and tokens: in URLs, in queries, and from environment variables.

    >>> without_credentials("postgresql://me:secret@db/x?sslpassword=also")
    'postgresql://***@db/x?sslpassword=***'
    """
    for name in SECRET_VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, HIDDEN)
    text = USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = NAMED_SECRET.sub(rf"\1{HIDDEN}", text)
    text = AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
    return KNOWN_TOKEN.sub(HIDDEN, text)
