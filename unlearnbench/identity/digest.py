"""The hash of an identity."""

from __future__ import annotations

from dataclasses import Field, fields, is_dataclass
from typing import Any

from unlearnbench.storage.cache import content_hash

# Marks of fields; `ids` explains them.
CHANCE, SEED, SOFTWARE = "chance", "seed", "software"


def digest(identity: object, without: tuple[str, ...] = ()) -> str:
    """Sixteen hex digits for one identity, or for several.

    Args:
        without: marks of fields to leave out, in addition to `CHANCE`.
    """
    return content_hash(_content(identity, (CHANCE, *without)))


def kept_fields(identity: Any, without: tuple[str, ...]) -> list[Field[Any]]:
    """The fields of an identity that have none of these marks."""
    return [field for field in fields(identity) if not any(mark in field.metadata for mark in without)]


def _content(identity: object, without: tuple[str, ...]) -> object:
    """The identity as JSON. Fields with their default value are left out, so that a new field does not change keys."""
    if is_dataclass(identity):
        kept = [field for field in kept_fields(identity, without) if getattr(identity, field.name) != field.default]
        return {"": type(identity).__name__} | {
            field.name: _content(getattr(identity, field.name), without) for field in kept
        }
    if isinstance(identity, tuple):
        return [_content(item, without) for item in identity]
    return identity
