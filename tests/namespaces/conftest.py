"""Fixtures of the namespace tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.kit.browser import launching
from tests.kit.fixtures import hub, lan, machine, means, outside
from tests.kit.hub import Hub
from tests.kit.links import root_of
from tests.kit.marks import mark_calls
from tests.namespaces.lan import Lan

__all__ = ["hub", "lan", "machine", "means", "outside"]

# Tests with other programs: they take minutes, and are useless for work on other parts.
FIELD = (
    "test_account",
    "test_example_",
    "test_firewall_",
    "test_guide",
    "test_proxy",
    "test_router",
    "test_sends",
    "test_stock",
    "test_turn_of_others",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.namespaces)
            if item.path.stem.startswith(FIELD):
                item.add_marker(pytest.mark.field)
            mark_calls(item)


@pytest.fixture(scope="module")
def browser(lan: Lan, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on the client's machine that trusts the module's own `hub`."""
    with launching(tmp_path_factory.mktemp("browser"), lan.client.prefix, root_of(hub)) as launched:
        yield launched
