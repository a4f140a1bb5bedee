"""Every secret that a spec refers to, found by walking its model: no second list of secrets is needed.

A key of the model is a secret where its type is `lkhub.spec.types.SecretValue`, or a dataclass with a `SecretSource`
in it, at any depth.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from lkhub.secret import FromEnv, FromFile, Reading, Secret, SecretSource, require_secret
from lkhub.source.path import Path

_DEFAULT = Reading(require_secret)


@dataclass(frozen=True)
class Reference:
    """One secret of a spec. `path` is its place in the spec. `fault_path` is where its faults are reported: a value
    with a form of its own, such as a TURN server, is judged as a whole. `reading` turns its text into what programs
    take."""

    path: Path
    fault_path: Path
    source: SecretSource
    reading: Reading


def list_references(spec: BaseModel) -> tuple[Reference, ...]:
    """All references, in the order of the model."""
    return tuple(_walk(spec, (), None, _DEFAULT))


def list_variables(references: Iterable[Reference]) -> tuple[str, ...]:
    """The environment variables that the references name, each once."""
    sources = (reference.source for reference in references)
    return tuple(dict.fromkeys(source.name for source in sources if isinstance(source, FromEnv)))


def may_be_secret(annotation: Any) -> bool:
    """Whether a field of this type takes a secret."""
    return annotation is Secret or any(may_be_secret(inner) for inner in get_args(annotation))


def _walk(value: Any, path: Path, fault_path: Path | None, reading: Reading) -> Iterator[Reference]:
    """`fault_path` is the path of the dataclass that contains the value, None outside a dataclass. A field that is
    itself a dataclass has no key of its own in the spec."""
    if isinstance(value, Secret | FromFile | FromEnv):
        yield Reference(path, fault_path or path, value, reading)
    elif isinstance(value, BaseModel):
        for name, annotation in _hints(type(value)).items():
            yield from _walk(getattr(value, name), (*path, name), None, _find_reading(annotation))
    elif is_dataclass(value) and not isinstance(value, type):
        above = fault_path or path
        hints = _hints(type(value))
        for each in fields(value):
            yield from _walk(getattr(value, each.name), (*above, each.name), above, _find_reading(hints[each.name]))
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index), fault_path, reading)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, (*path, key), fault_path, reading)


@cache
def _hints(kind: type) -> dict[str, object]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in kind.model_fields} if issubclass(kind, BaseModel) else hints


def _find_reading(annotation: Any) -> Reading:
    """How a field's annotation says its secret is read, also in an optional field or a list."""
    return next(_list_readings(annotation), _DEFAULT)


def _list_readings(annotation: Any) -> Iterator[Reading]:
    yield from (extra for extra in getattr(annotation, "__metadata__", ()) if isinstance(extra, Reading))
    for inner in get_args(annotation):
        yield from _list_readings(inner)
