"""Frozen dataclasses to JSON and back, so that what is kept on disk has one definition: its type."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")


def to_json(value: object) -> Any:
    """Dataclasses, mappings and sequences as objects and arrays of JSON. A number that is not finite becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[T], value: Any) -> T:
    """The ``kind`` that ``to_json`` made ``value`` of. Raises ValueError, naming the field, where it does not fit."""
    return typing.cast(T, _read(kind, value, kind.__name__))


def _read(kind: Any, value: Any, at: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return value
    if origin is types.UnionType or origin is typing.Union:
        return None if value is None else _read(next(a for a in arguments if a is not type(None)), value, at)
    if origin is Literal:
        return _checked(value, value in arguments, at)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast("type[Any]", kind), value, at)
    if origin is tuple:
        items = _checked(value, isinstance(value, list), at)
        kinds = [arguments[0]] * len(items) if arguments[1:] == (Ellipsis,) else arguments
        _checked(value, len(kinds) == len(items), at)
        return tuple(_read(k, item, f"{at}[{n}]") for n, (k, item) in enumerate(zip(kinds, items, strict=True)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        table = _checked(value, isinstance(value, dict), at)
        return {key: _read(arguments[1], item, f"{at}.{key}") for key, item in table.items()}
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path:
        return Path(_checked(value, type(value) is str, at))
    return _checked(value, type(value) is kind, at)


def _read_dataclass(kind: type[Any], value: Any, at: str) -> Any:
    _checked(value, isinstance(value, dict), at)
    hints, needed = _fields(kind)  # type: ignore[arg-type] # a type is hashable, any type is
    for name in sorted((needed - set(value)) | (set(value) - set(hints))):
        _checked(value, False, f"{at}.{name}")
    return kind(**{name: _read(hints[name], item, f"{at}.{name}") for name, item in value.items()})


@functools.cache
def _fields(kind: type[Any]) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Name -> type of each field, and the names of those that have no default."""
    types_of = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    needed = frozenset(f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING)
    return {f.name: types_of[f.name] for f in fields}, needed


def _checked(value: Any, fits: bool, at: str) -> Any:
    if not fits:
        raise ValueError(f"{at} is not as it was written")
    return value
