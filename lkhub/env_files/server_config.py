"""A JSON file of settings: the values of some keys of its object are replaced, and every other byte stays."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from lkhub.env_files.edit_error import EditError
from lkhub.source.json_text import Json, parse_json

_WHITESPACE = " \t\n\r"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class _Member:
    """Key and value of an object, with their places in the text."""

    key: str
    value: Json
    key_start: int
    key_end: int
    value_start: int
    value_end: int


def read_setting(text: str, key: str) -> tuple[Json, ...]:
    """The values that the file gives to a key, one for each time that the key is there. Raises EditError."""
    return tuple(each.value for each in _list_members(text) if each.key == key)


def edit_settings(text: str, values: Mapping[str, Json]) -> str:
    """The text with these values. A key that the object does not have is added at its end, written as the keys before
    it are. A text without anything in it becomes an object of these values. Raises EditError if the text is not a JSON
    object."""
    if not text.strip(_WHITESPACE):
        return json.dumps(values, indent=2) + "\n"
    members = _list_members(text)
    if not members:
        start = text.index("{")
        inner = json.dumps(values, indent=2) if values else "{}"
        return text[:start] + inner + text[text.rindex("}") + 1 :]
    parts, at = [], 0
    for member in members:
        if member.key in values:
            parts += [text[at : member.value_start], json.dumps(values[member.key])]
            at = member.value_end
    last = members[-1]
    parts.append(text[at : last.value_end])
    present = {member.key for member in members}
    before, colon = _describe_style(text, members)
    parts += [f"{before}{json.dumps(key)}{colon}{json.dumps(values[key])}" for key in values if key not in present]
    return "".join(parts) + text[last.value_end :]


def _describe_style(text: str, members: list[_Member]) -> tuple[str, str]:
    """What is before the last key of an object, and what is between that key and its value."""
    last = members[-1]
    colon = text[last.key_end : last.value_start]
    if len(members) > 1:
        return text[members[-2].value_end : last.key_start], colon
    space = text[text.index("{") + 1 : last.key_start]
    return "," + (space or " " * colon.endswith(" ")), colon


def _list_members(text: str) -> list[_Member]:
    try:
        document = parse_json(text)
    except json.JSONDecodeError as error:
        # `msg` has no part of the text.
        raise EditError(f"not JSON: {error.msg.lower()} at column {error.colno}", error.lineno) from None
    except ValueError as error:
        raise EditError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise EditError("not a JSON object")
    members, at = [], _skip(text, text.index("{") + 1)
    while text[at] != "}":
        key, key_end = _DECODER.raw_decode(text, at)
        value_start = _skip(text, _skip(text, key_end) + 1)
        value, value_end = _DECODER.raw_decode(text, value_start)
        members.append(_Member(key, value, at, key_end, value_start, value_end))
        at = _skip(text, value_end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _skip(text: str, at: int) -> int:
    while text[at] in _WHITESPACE:
        at += 1
    return at
