"""JSON ↔ frozen dataclasses: the reader and writer of records on disk and of messages between processes.

A key that a class does not know is ignored, and one that is missing has the class's default. A value of another type is
a ShapeError. Libraries do this too: pydantic costs 36 ms and 8 MB where nothing else loads it, msgspec 14 ms and 3 MB
(measured); this costs 5 ms, for the service and for commands that only read a record.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

Read = Callable[[Any], Any]

# Metadata of a dataclass's field, a mapping: keys that the class does not know are kept there, and written again.
UNKNOWN = {"unknown": True}


class ShapeError(ValueError):
    """JSON that does not fit a class. The text never repeats a value, which may be a secret."""


class MissingKeyError(ShapeError):
    """JSON that lacks `key`, which has no default."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is missing")
        self.key = key


def unpack(kind: type[T], value: object) -> T:
    """An instance of `kind` from parsed JSON. Raises ShapeError."""
    try:
        return cast(T, _reader(cast(Hashable, kind))(value))
    except RecursionError:
        raise ShapeError("nested too deep") from None


def pack(value: Any) -> Any:
    """Dataclasses, and all that they contain, as JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        packed = {each.name: pack(getattr(value, each.name)) for each in fields(value) if not _is_unknown(each)}
        kept = [getattr(value, each.name) for each in fields(value) if _is_unknown(each)]
        return {**(kept[0] if kept else {}), **packed}
    if isinstance(value, Mapping):
        return {_pack_key(key): pack(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(pack(item) for item in value)
    if isinstance(value, tuple | list):
        return [pack(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if _is_address(type(value)):
        return str(value)
    return value


def _pack_key(key: object) -> str:
    return key if isinstance(key, str) else str(key)


def _is_unknown(field: Field[Any]) -> bool:
    return "unknown" in field.metadata


def _is_address(kind: Any) -> bool:
    return getattr(kind, "__module__", "") == "ipaddress"


@cache
def _reader(kind: Any) -> Read:
    """The function that reads a value of this type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if origin in (Union, UnionType):
        return _read_union([_reader(each) for each in arguments])
    if origin is Literal:
        return _read_literal(arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _read_row(tuple, [_reader(each) for each in arguments])
    if origin in (tuple, list, frozenset):
        return _read_list(origin, _reader(arguments[0]))
    if origin in (dict, Mapping):
        return _read_mapping(_reader(arguments[0]), _reader(arguments[1]))
    if is_dataclass(kind):
        return _read_object(cast(type, kind))
    if hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        return _read_row(kind._make, [_reader(hints[name]) for name in kind._fields])
    if kind is datetime or _is_address(kind):
        return _read_text(datetime.fromisoformat if kind is datetime else kind)
    return _read_plain(kind)


def _read_plain(kind: type) -> Read:
    if kind not in (str, int, float, bool, NoneType):
        raise TypeError(f"{kind} has no JSON")

    def read(value: Any) -> Any:
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise ShapeError(f"not {kind.__name__}")
        return value

    return read


def _read_literal(choices: tuple[Any, ...]) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, str | int) or value not in choices:
            raise ShapeError(f"none of {choices}")
        return value

    return read


def _read_text(parse: Callable[[str], Any]) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise ShapeError("not a text")
        try:
            return parse(value)
        except ValueError:
            raise ShapeError("a text that can't be read") from None

    return read


def _read_union(readers: list[Read]) -> Read:
    def read(value: Any) -> Any:
        failures = []
        for each in readers:
            try:
                return each(value)
            except ShapeError as error:
                failures.append(error)
        # For an optional object, the fault inside the object says more than "it is not null".
        raise max(failures, key=lambda error: isinstance(error, MissingKeyError))

    return read


def _read_list(make: Callable[[list[Any]], Any], item: Read) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ShapeError("not a list")
        return make([item(each) for each in value])

    return read


def _read_row(make: Callable[[list[Any]], Any], readers: list[Read]) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(readers):
            raise ShapeError(f"not a list of {len(readers)}")
        return make([each(item) for each, item in zip(readers, value, strict=True)])

    return read


def _read_mapping(key: Read, item: Read) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ShapeError("not an object")
        return {key(name): item(each) for name, each in value.items()}

    return read


def _read_object(kind: type) -> Read:
    hints = get_type_hints(kind)
    known = [each for each in fields(kind) if not _is_unknown(each)]
    kept = [each.name for each in fields(kind) if _is_unknown(each)]
    readers: dict[str, Read] = {}

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ShapeError("not an object")
        if not readers:  # not earlier: a class may have fields of its own kind
            readers.update({each.name: _reader(hints[each.name]) for each in known})
        found = {}
        for each in known:
            if each.name in value:
                found[each.name] = readers[each.name](value[each.name])
            elif each.default is MISSING and each.default_factory is MISSING:
                raise MissingKeyError(each.name)
        rest = {name: item for name, item in value.items() if name not in readers}
        return kind(**found, **dict.fromkeys(kept, rest))

    return read
