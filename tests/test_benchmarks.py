"""The page of benchmarks has a place for each table. Without one, `scripts/bench --write` would fail after the work."""

import pytest

from bench.__main__ import NAMES
from bench.result import PAGE


@pytest.mark.parametrize("name", NAMES)
def test_page_has_a_place_for_the_table(name: str) -> None:
    before, begin, rest = PAGE.read_text().partition(f"<!-- {name} -->\n")
    table, end, after = rest.partition(f"<!-- /{name} -->")
    assert begin
    assert end
    assert "<!--" not in table
    assert f"<!-- {name} -->" not in before + after
