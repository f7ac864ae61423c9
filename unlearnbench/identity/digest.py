"""The hash that names an identity."""

from __future__ import annotations

from dataclasses import Field, fields, is_dataclass
from typing import Any

from unlearnbench.storage.cache import content_hash

# Marks of fields; `ids` says what each means.
CHANCE, SEED, SOFTWARE = "chance", "seed", "software"


def digest(identity: object, without: tuple[str, ...] = ()) -> str:
    """Sixteen hex digits for an identity, or several.

    Args:
        without: marks of fields to leave out, beside `CHANCE`.
    """
    return content_hash(_content(identity, (CHANCE, *without)))


def kept_fields(identity: Any, without: tuple[str, ...]) -> list[Field[Any]]:
    """The fields of an identity without those that carry one of these marks."""
    return [one for one in fields(identity) if not any(mark in one.metadata for mark in without)]


def _content(identity: object, without: tuple[str, ...]) -> object:
    """The identity as JSON. Fields that have their default are left out, so that a new one leaves old keys alone."""
    if is_dataclass(identity):
        kept = [one for one in kept_fields(identity, without) if getattr(identity, one.name) != one.default]
        return {"": type(identity).__name__} | {
            one.name: _content(getattr(identity, one.name), without) for one in kept
        }
    if isinstance(identity, tuple):
        return [_content(item, without) for item in identity]
    return identity
