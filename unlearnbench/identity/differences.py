"""Lists the fields of an identity, and the fields in which two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass

from unlearnbench.identity.digest import kept_fields


def differences(first: object, second: object, without: tuple[str, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Name (such as ``start.base.rows``) and both values of each field in which two identities differ.

    Args:
        without: marks of fields to ignore.
    """
    if is_dataclass(first) and type(first) is type(second):
        for field in kept_fields(first, without):
            for name, *both in differences(getattr(first, field.name), getattr(second, field.name), without):
                yield (f"{field.name}.{name}".rstrip("."), both[0], both[1])
    elif isinstance(first, tuple) and isinstance(second, tuple):
        yield from _by_name(first, second, without)
    elif first != second:
        yield "", _short(first), _short(second)


def told(identity: object, above: str = "") -> Iterator[tuple[str, str]]:
    """Name (such as ``subject.start.base.rows``) and value of every field."""
    if is_dataclass(identity):
        for field in fields(identity):
            yield from told(getattr(identity, field.name), f"{above}{field.name}.")
    elif isinstance(identity, tuple) and identity and all(_name(item) is not None for item in identity):
        for item in identity:
            yield from told(_value(item), f"{above}{_name(item)}.")
    elif identity not in (None, ()):
        yield above.rstrip("."), ", ".join(map(str, identity)) if isinstance(identity, tuple) else str(identity)


def described(found: Sequence[tuple[str, str]], most: int = 4) -> str:
    """Names of fields, each with a text; only the first ones if there are more than `most`."""
    texts = [f"{name} {text}" for name, text in found]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def marked(first: object, second: object, mark: str) -> Iterator[tuple[str, str, str]]:
    """Like `differences`, but only for fields with this mark."""
    unmarked = {name for name, *_ in differences(first, second, (mark,))}
    return (difference for difference in differences(first, second) if difference[0] not in unmarked)


def _by_name(
    first: tuple[object, ...], second: tuple[object, ...], without: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    """Differences between tuples of pairs or of named identities, whose order does not matter."""
    sides = [{_name(item): _value(item) for item in side} for side in (first, second)]
    if None in sides[0] or None in sides[1]:
        if first != second:
            yield "", _short(first), _short(second)
        return
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        for inner, *both in differences(sides[0].get(name), sides[1].get(name), without):
            yield (f"{name}.{inner}".rstrip("."), both[0], both[1])


def _name(item: object) -> str | None:
    if isinstance(item, tuple) and len(item) == 2:
        return str(item[0])
    return getattr(item, "name", None)


def _value(item: object) -> object:
    return item[1] if isinstance(item, tuple) and len(item) == 2 else item


def _short(value: object) -> str:
    text = "none" if value in (None, (), "") else value if isinstance(value, str) else _described(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _described(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_described(item) for item in value)
    return str(getattr(value, "name", None) or (getattr(value, "kind", None) or value))
