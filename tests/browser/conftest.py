"""Fixtures of the browser tests: Debian's Chromium with fake devices."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.kit.browser import launching, profile
from tests.kit.hub import Hub, make_hub
from tests.kit.marks import mark_calls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            mark_calls(item)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub that is up, for all tests of a file."""
    with make_hub() as made:
        made.up("--no-verify")
        yield made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with launching(tmp_path_factory.mktemp("browser")) as launched:
        yield launched


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with profile(browser) as made:
        yield made
