from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.shown import MAX_LENGTH, printable, shown


@given(st.text() | st.binary() | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.text()))
def test_anything_is_shown_on_one_short_line_that_commands_no_terminal(value: Any) -> None:
    text = shown(value)
    assert len(text) <= MAX_LENGTH
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((True, "true"), (False, "false"), (1, "1"), (0, "0"), (1.0, "1.0"), (None, "nothing"), ("", "")),
        *(
            ({"a": 1}, "a mapping"),
            (["a"], "a list"),
            (16**5000, "a very large number"),
            (-(16**5000), "a very large number"),
        ),
        *(("a\nb", "a\\nb"), ("\x1b[2J", "\\x1b[2J"), ("é", "é"), ("x" * 60, "x" * 60), ("x" * 61, "x" * 57 + "…")),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) or isinstance(value, bool) else "int",
)
def test_value_is_shown_as_it_was_written(value: Any, text: str) -> None:
    assert shown(value)[:58] == text[:58]


def test_plain_text_stays_as_it_is() -> None:
    assert printable("media.udp") == "media.udp"
