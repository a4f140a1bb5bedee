"""Secrets that hide themselves, and references to secrets that are kept elsewhere.

Resolving a reference needs the machine and is in `lkhub.host.secrets`.
"""

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
class FromEnv:
    """The secret is the value of an environment variable."""

    name: str


SecretSource = Secret | FromFile | FromEnv

# For what an editor checks.
SECRET_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]},
        {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"]},
    ]
}


def parse_secret_source(value: Any, name: str = "secret") -> SecretSource:
    """A secret as the spec gives it: text, `{file: …}` or `{env: …}`. `name` is what the spec calls it; the error never
    repeats the value."""
    if isinstance(value, str) and value:
        return Secret(value)
    if isinstance(value, dict) and len(value) == 1:
        [(kind, where)] = value.items()
        if isinstance(where, str) and where and kind in ("file", "env"):
            return FromFile(where) if kind == "file" else FromEnv(where)
    if value in (None, ""):
        raise ValueError(f"the {name} is empty; write the secret itself, {{file: PATH}} or {{env: NAME}}")
    raise ValueError("write the secret itself, {file: PATH} or {env: NAME}")
