"""The bytes of an entity that its hash is over: what was said of it, and nothing of how it is held.

Place in the flow: entity → **hashing** → state hash. A field that has its default was not said, so a field that comes with a default
leaves every recorded hash as it is; the order in which a class names its fields means nothing.

Source: R-F2.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

_ENCODER: Final = msgspec.json.Encoder()
_NEVER: Final = object()
"""Equal to no value: a field without a default is always said."""


class Shape(NamedTuple):
    """How a class is told: its fields in the order of their names."""

    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    defaults: tuple[object, ...]
    nested: tuple[bool, ...]


@cache
def shape_of(kind: type[Struct]) -> Shape:
    """The shape of a class, without the fields that it says are hashed by another one (`unhashed`)."""
    left_out: frozenset[str] = getattr(kind, "unhashed", frozenset())
    hints = get_type_hints(kind)
    fields = sorted((each for each in msgspec.structs.fields(kind) if each.name not in left_out), key=lambda each: each.name)
    names = tuple(each.name for each in fields)
    getter = attrgetter(*names)
    values = getter if len(names) > 1 else lambda entity: (getter(entity),)
    defaults = tuple(_NEVER if each.default is NODEFAULT else each.default for each in fields)
    return Shape(names, values, defaults, tuple(_holds_struct(hints[name]) for name in names))


def _holds_struct(hint: object) -> bool:
    if isinstance(hint, type):
        return issubclass(hint, Struct)
    return any(_holds_struct(part) for part in getattr(hint, "__args__", ()))


def said(value: object) -> object:
    """An entity as plain values: of each struct in it the fields that have not their default, by name."""
    if isinstance(value, tuple):
        return [said(part) for part in value]
    if not isinstance(value, Struct):
        return value
    names, values, defaults, nested = shape_of(type(value))
    return {
        name: said(held) if inner else held
        for name, held, default, inner in zip(names, values(value), defaults, nested, strict=True)
        if held != default
    }


def bytes_of(value: object) -> bytes:
    """What an entity's hash is over; one that is no struct holds none either."""
    return _ENCODER.encode(said(value) if isinstance(value, Struct) else value)
