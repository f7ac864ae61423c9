"""A check, and the error that it raises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class CheckFailedError(AssertionError):
    """The check failed; the message says what is wrong, and where."""


@dataclass(frozen=True)
class Check:
    """One property of one method, task or metric; call it to check it.

    Attributes:
        subject: name of the method, task or metric.
        name: the property that is checked.
        run: raises CheckFailedError, or an error of the plugin itself.
    """

    subject: str
    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        self.run()

    def __str__(self) -> str:
        return f"{self.subject}: {self.name}"


def require_texts(owner: object, name: str) -> None:
    """Requires a name, a title and a description.

    Args:
        name: of the class that declares them.
    """
    for attribute in ("name", "title", "description"):
        value = getattr(owner, attribute, None)
        require(isinstance(value, str) and value, f"{name}.{attribute} is {value!r}, but must be text")


def require(condition: object, message: str) -> None:
    """Fails the check with the message unless the condition holds."""
    if not condition:
        raise CheckFailedError(message)
