import json
import re
from pathlib import Path

import pytest

import lkhub
from lkhub.source.json_text import parse_json


@pytest.mark.parametrize(
    "text", ["", "{", "\0", "[" * 100_000, '{"a":' * 100_000, b"\xff\xfe", b"[" * 100_000], ids=range(7)
)
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_json_is_read() -> None:
    assert parse_json('{"a": [1, null]}') == {"a": [1, None]}


def test_everything_reads_json_by_it() -> None:
    """Each file and answer may be damaged, and callers do not expect a RecursionError."""
    package = Path(lkhub.__file__).parent
    found = [path.name for path in package.rglob("*.py") if re.search(r"\bjson\.loads?\(", path.read_text())]
    assert found == ["json_text.py"]
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)
