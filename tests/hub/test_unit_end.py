"""How the unit of an agent ended."""

import pytest

from lkhub.hub import unit_end
from lkhub.hub.unit_end import add_journal


def test_value_that_begins_with_another_one_is_named_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["its secret is beginning-and-more", "and beginning", "and pw"]
    monkeypatch.setattr(unit_end, "read_journal", lambda *_, **__: (lines, None))
    shown = add_journal("it ended", "agent-bmo", {"A": "beginning", "B": "beginning-and-more", "C": "pw"})
    assert shown.split("\n")[2:] == ["its secret is [B]", "and [A]", "and pw"]
