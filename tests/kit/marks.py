"""Marks that tests get by the folder they are in."""

import pytest

# Tests that run only when they are named, by another mark than `calls`.
_NAMED_OTHERWISE = ("field", "timing")


def mark_calls(item: pytest.Item) -> None:
    """Mark a test whose call runs in Chromium or between network namespaces, unless it has a mark of its own."""
    if not any(item.get_closest_marker(name) for name in _NAMED_OTHERWISE):
        item.add_marker(pytest.mark.calls)
