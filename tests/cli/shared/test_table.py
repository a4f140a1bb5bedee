"""Columns on stdout, whose texts may be other programs'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lkhub.cli.shared.show import show_rows
from lkhub.cli.shared.table import show_table
from tests.test_shown import COMMANDS

FORGED = "bmo\nagent-eve  eve  free"


@pytest.mark.parametrize("text", [FORGED, "a\tb", "a\r\nb", "a\vb", "a\fb", "a\x85b", *COMMANDS], ids=ascii)
def test_no_text_makes_a_row_or_commands_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "STATE"), [(text, "free"), ("x", text)])
    show_rows({"name": text, text: "value"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.isprintable() for line in lines)


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=4))
def test_a_row_is_a_line_whatever_is_in_it(rows: list[tuple[str, str]]) -> None:
    from lkhub.cli.shared.show import out

    with out.capture() as captured:
        show_table(("NAME", "STATE"), rows)
    assert captured.get().count("\n") == len(captured.get().splitlines()) == len(rows) + 1


def test_columns_stay_aligned_beside_a_text_of_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "STATE"), [("a\nb", "free"), ("abcd", "full")])
    places = {
        cell_len(line[: line.index(word)])
        for line, word in zip(capsys.readouterr().out.splitlines(), ("STATE", "free", "full"), strict=True)
    }
    assert places == {6}
