"""Values as Nix writes them."""

import json
import re
from collections.abc import Mapping

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")
_KEYWORDS = {"assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"}


class Expression(str):
    """Text that is Nix already."""

    __slots__ = ()


def write_nix(value: object, indent: str = "") -> str:
    """A value of JSON's types, or an Expression. `indent` is that of the line that it begins on."""
    inner = f"{indent}  "
    match value:
        case Expression():
            return str(value)
        case str():
            return write_text(value)
        case Mapping() if value:
            lines = [f"{inner}{write_name(name)} = {write_nix(each, inner)};" for name, each in value.items()]
            return "\n".join(["{", *lines, f"{indent}}}"])
        case Mapping():
            return "{ }"
        case list() | tuple() if any(isinstance(each, Mapping | list | tuple) for each in value) or len(value) > _LONG:
            return "\n".join(["[", *(f"{inner}{_write_item(each, inner)}" for each in value), f"{indent}]"])
        case list() | tuple():
            return " ".join(["[", *map(_write_item, value), "]"])
        case _:
            return json.dumps(value)


# Items of a list that stand on one line.
_LONG = 6


def _write_item(value: object, indent: str = "") -> str:
    """An item of a list, where an expression of several words, or a negative number, needs brackets."""
    text = write_nix(value, indent)
    is_compound = isinstance(value, Expression) or (isinstance(value, int | float) and value < 0)
    return f"({text})" if is_compound else text


def write_text(text: str) -> str:
    """A string, in which nothing is computed."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("${", "\\${"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def write_name(name: str) -> str:
    """The name of an attribute."""
    return name if _NAME.fullmatch(name) and name not in _KEYWORDS else write_text(name)
