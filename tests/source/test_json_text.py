import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lkhub
from lkhub.source.json_text import (
    DuplicateKeyError,
    parse_finite_json,
    parse_json,
    parse_unicode_json,
    parse_unique_json,
)


@pytest.mark.parametrize(
    "text", ["", "{", "\0", "[" * 100_000, '{"a":' * 100_000, b"\xff\xfe", b"[" * 100_000], ids=range(7)
)
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e999", "{", "[" * 100_000])
def test_record_has_only_numbers_that_are_finite(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_finite_json(text)


def test_json_is_read() -> None:
    assert parse_finite_json('{"a": [1.5, 1e3]}') == {"a": [1.5, 1000.0]}
    assert parse_json('{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize("parse", [parse_unicode_json, parse_unique_json])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_text_with_an_escape_is_read_or_no_json_at_every_depth(
    parse: Callable[[bytes], object], begin: bytes, end: bytes
) -> None:
    """The looks for halves of characters, too, go only so deep."""
    read = 0
    for depth in range(sys.getrecursionlimit()):
        try:
            parse(begin * depth + b'"\\u0061"' + end * depth)
            read = depth
        except ValueError:
            continue
    assert 100 < read < sys.getrecursionlimit()


def test_everything_reads_json_by_it() -> None:
    """Each file and answer may be damaged, and callers do not expect a RecursionError."""
    package = Path(lkhub.__file__).parent
    found = [path.name for path in package.rglob("*.py") if re.search(r"\bjson\.loads?\(", path.read_text())]
    assert found == ["json_text.py"]
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "a": 3}}]', '{"a": 1, "\\u0061": 2}'])
def test_key_that_is_given_twice(text: str) -> None:
    with pytest.raises(DuplicateKeyError):
        parse_unique_json(text.encode())
    parse_json(text)


@pytest.mark.parametrize("text", ['{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}', "{}", "3", '""'])
def test_keys_of_different_objects_may_be_equal(text: str) -> None:
    assert parse_unique_json(text.encode()) == parse_json(text)


@pytest.mark.parametrize("parse", [parse_unicode_json, parse_unique_json])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ['{"a": "b"}', '{"\\ud800": "b"}', '["\\ud800"]', "3"])
def test_request_is_in_utf_8(parse: Callable[[bytes], object], encoding: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text.encode(encoding))
    assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "{"])
def test_what_is_not_json_has_no_unique_keys(text: str) -> None:
    with pytest.raises(ValueError):
        parse_unique_json(text.encode())


@pytest.mark.parametrize("text", [rb'"\ud800"', rb'{"\udfff": 1}', b'["\xed\xa0\x80"]', rb'"\udc00\ud800"', b'"\xff"'])
def test_half_a_character_is_refused(text: bytes) -> None:
    for parse in (parse_unique_json, parse_unicode_json):
        with pytest.raises(ValueError, match=r"surrogates not allowed|can't decode"):
            parse(text)


@pytest.mark.parametrize("text", [rb'"\ud83d\ude00"', '"😀"'.encode(), rb'"\u0000"'])
def test_whole_characters_are_taken(text: bytes) -> None:
    assert parse_unique_json(text) == parse_unicode_json(text) == parse_json(text)


@given(
    st.dictionaries(
        st.text(max_size=4), st.text() | st.integers() | st.floats() | st.booleans() | st.none(), max_size=4
    ),
    st.booleans(),
)
def test_flat_objects_are_read_as_the_standard_library_reads_them(data: dict[str, object], escaped: bool) -> None:
    text = json.dumps(data, ensure_ascii=escaped)
    try:
        expected = json.loads(text.encode())
    except UnicodeEncodeError:
        return
    assert repr(parse_unique_json(text.encode())) == repr(expected)


@pytest.mark.parametrize(
    "text", [b'{"a": "\x01"}', b'{"a": 01}', b"{'a': 1}", b'{"a": 1,}', b'{"a": "\\x"}', b'{"a": 1} x']
)
def test_what_is_not_quite_json(text: bytes) -> None:
    with pytest.raises(ValueError):
        json.loads(text)
    with pytest.raises(ValueError):
        parse_unique_json(text)
