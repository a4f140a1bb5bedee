from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.shown import MAX_LENGTH, MAX_QUOTED, printable, quote, shown, tame, tame_line


@given(st.text() | st.binary() | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.text()))
def test_anything_is_shown_on_one_short_line_that_commands_no_terminal(value: Any) -> None:
    text = shown(value)
    assert len(text) <= MAX_LENGTH
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((True, "true"), (False, "false"), (1, "1"), (0, "0"), (1.0, "1.0"), (None, "nothing"), ("", "an empty text")),
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


COMMANDS = ("\x1b[2J", "\x9b31m", "\x1b]0;title\x07", "a\rb", "\b\b", "\x7f", "\u202etxt.exe", "a\u2028b", "\ud800")


@pytest.mark.parametrize("text", COMMANDS, ids=ascii)
def test_text_of_another_program_commands_no_terminal_and_keeps_its_length(text: str) -> None:
    told = f"one\n\ttwo {text}"
    assert tame(told).replace("\n", "").replace("\t", "").isprintable()
    assert len(tame(told)) == len(told)
    assert tame(told).startswith("one\n\ttwo ")


@given(st.text())
def test_line_of_another_program_is_one_line_of_its_length(text: str) -> None:
    assert len(tame_line(text)) == len(text)
    assert len(tame_line(text).splitlines()) <= 1
    assert "\t" not in tame_line(text)


@pytest.mark.parametrize("text", ["Zażółć – „gęślą“ …", "日本語", "שלום", "👩‍🚀 €", "[red]x[/red]"])
def test_text_in_any_language_stays_as_it_is(text: str) -> None:
    assert tame(text) == tame_line(text) == text
    assert quote(text) == text


@given(st.text())
def test_quote_is_one_short_line(text: str) -> None:
    quoted = quote(text * 100)
    assert len(quoted) <= MAX_QUOTED
    assert not set(quoted) & set("\n\r\t\x1b\x9b")
