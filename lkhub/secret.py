"""Secrets that hide themselves, and references to secrets that are kept elsewhere.

Which references a spec has is in `lkhub.spec.references`; what a reference leads to, `lkhub.host.secrets` reads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Secret:
    """A secret value. Printing, formatting or dumping it shows stars; `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True)
class FromFile:
    """The secret is the content of a file, without the line end."""

    path: str


@dataclass(frozen=True)
class WholeFile(FromFile):
    """The secret is the whole content of a file, with every line end: the file holds more than one secret."""


@dataclass(frozen=True)
class FromEnv:
    """The secret is the value of an environment variable."""

    name: str


SecretSource = Secret | FromFile | FromEnv


class SecretError(ValueError):
    """A secret, or keys, that can't be used; `problems` are all that is wrong, and repeat nothing that was given."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def require_secret(text: str) -> Secret:
    """The text as a secret. Raises SecretError where it is blank."""
    if not text.strip():
        raise SecretError("the secret is empty")
    return Secret(text)


@dataclass(frozen=True)
class Reading:
    """In the annotation of a SecretSource: how the given text becomes the secret that programs take. `read` raises
    SecretError. Without an annotation it is `require_secret`."""

    read: Callable[[str], Secret]


def describe_schema(min_length: int = 1) -> dict[str, object]:
    """The JSON schema of a SecretSource, for what an editor checks."""
    return {
        "anyOf": [
            {"type": "string", "minLength": min_length},
            {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]},
            {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"]},
        ]
    }


def parse_secret_source(value: Any, name: str = "secret") -> SecretSource:
    """A secret as the spec gives it: text, `{file: …}` or `{env: …}`. `name` is what the spec calls it; the error never
    repeats the value."""
    if isinstance(value, Secret | FromFile | FromEnv):
        return value
    if isinstance(value, str) and value:
        return Secret(value)
    if isinstance(value, dict) and len(value) == 1:
        [(kind, where)] = value.items()
        if isinstance(where, str) and where and kind in ("file", "env"):
            return FromFile(where) if kind == "file" else FromEnv(where)
    if value in (None, ""):
        raise ValueError(f"the {name} is empty; write the secret itself, {{file: PATH}} or {{env: NAME}}")
    if not isinstance(value, str | dict | list):
        raise ValueError(f"the {name} is not text; write it in quotes, {{file: PATH}} or {{env: NAME}}")
    raise ValueError("write the secret itself, {file: PATH} or {env: NAME}")


def describe_source(source: SecretSource) -> str | dict[str, str]:
    """Where a secret is kept, as the spec says it; stars for one that stands in the spec itself."""
    match source:
        case FromFile(path):
            return {"file": path}
        case FromEnv(name):
            return {"env": name}
    return "***"
