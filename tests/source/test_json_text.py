import json
import re
from pathlib import Path

import pytest

import lkhub
from lkhub.source.json_text import parse_finite_json, parse_json


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


def test_everything_reads_json_by_it() -> None:
    """Each file and answer may be damaged, and callers do not expect a RecursionError."""
    package = Path(lkhub.__file__).parent
    found = [path.name for path in package.rglob("*.py") if re.search(r"\bjson\.loads?\(", path.read_text())]
    assert found == ["json_text.py"]
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)
