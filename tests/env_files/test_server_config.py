"""Edits of echochat's server_config.json, and of any other JSON object."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.env_files.edit_error import EditError
from lkhub.env_files.server_config import edit_settings, read_setting

VALUES: dict[str, Any] = {"livekit_enabled": True, "livekit_ws_url": "wss://a", "livekit_api_key": "APInew"}

REAL = """\
{
    "name": "EchoChat", "ports": [80,   443],
    "livekit_enabled" : false,
    "limit": 1.0e3,
    "livekit_api_key": "devkey",
    "nested": {"livekit_api_key": "other"},
    "livekit_api_key": null
}
"""

EDITED = """\
{
    "name": "EchoChat", "ports": [80,   443],
    "livekit_enabled" : true,
    "limit": 1.0e3,
    "livekit_api_key": "APInew",
    "nested": {"livekit_api_key": "other"},
    "livekit_api_key": "APInew",
    "livekit_ws_url": "wss://a"
}
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=ascii)
def test_a_real_file_keeps_everything_but_the_values(end: str) -> None:
    edited = edit_settings(REAL.replace("\n", end), VALUES)
    assert edited == EDITED.replace("\n", end)
    assert edit_settings(edited, VALUES) == edited


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "a": 1,\n  "b": "x"\n}\n'),
        (" \n", '{\n  "a": 1,\n  "b": "x"\n}\n'),
        ("{}", '{\n  "a": 1,\n  "b": "x"\n}'),
        (" {\n} \n", ' {\n  "a": 1,\n  "b": "x"\n} \n'),
        ('{"c":2}', '{"c":2,"a":1,"b":"x"}'),
        ('{ "c": 2 }', '{ "c": 2, "a": 1, "b": "x" }'),
        ('{\n\t"c": 2\n}', '{\n\t"c": 2,\n\t"a": 1,\n\t"b": "x"\n}'),
        ('{"b": {"x": [1, {}]}, "c": "}"}', '{"b": "x", "c": "}", "a": 1}'),
        ('{"\\u0061": 0}', '{"\\u0061": 1, "b": "x"}'),
    ],
    ids=ascii,
)
def test_edit(before: str, after: str) -> None:
    assert edit_settings(before, {"a": 1, "b": "x"}) == after


@pytest.mark.parametrize(
    "text", ["[]", "1", "nonsense", '{"a": 1,}', '{"a": 1} x', "[" * 100_000, "// x\n{}", "{'a': 1}"], ids=len
)
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(EditError, match="JSON"):
        edit_settings(text, VALUES)


def test_fault_has_its_line_and_no_value() -> None:
    with pytest.raises(EditError) as refused:
        edit_settings('{\n"a": "JQZJQZ"\n"b": 1}', VALUES)
    assert refused.value.line == 3
    assert "JQZ" not in str(refused.value)


def test_every_value_of_a_key_is_read() -> None:
    assert read_setting(REAL, "livekit_api_key") == ("devkey", None)
    assert read_setting(REAL, "nothing") == ()


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(scalars, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=8)
keys = st.sampled_from([*VALUES, "a", "livekit", ""]) | st.text(max_size=5)
styles = st.sampled_from([{"indent": 2}, {"indent": "\t"}, {}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@given(st.dictionaries(keys, values), styles)
def test_object_keeps_its_other_keys_and_their_order(before: dict[str, Any], style: dict[str, Any]) -> None:
    edited = json.loads(edit_settings(json.dumps(before, **style), VALUES))
    assert edited == {**before, **VALUES}
    assert list(edited) == list({**before, **VALUES})


@given(st.dictionaries(keys, values, min_size=1), styles)
def test_text_is_what_the_style_would_have_written(before: dict[str, Any], style: dict[str, Any]) -> None:
    """Every byte stays: written anew in the same style, the object with the new values would be the same text."""
    assert edit_settings(json.dumps(before, **style), VALUES) == json.dumps({**before, **VALUES}, **style)
