"""Fixtures of the browser tests: Debian's Chromium with fake devices."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.kit.browser import describe, launching, profile
from tests.kit.hub import Hub, make_hub
from tests.kit.marks import mark_calls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            mark_calls(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the pages showed."""
    report = yield
    context = getattr(item, "funcargs", {}).get("context")
    if report.failed and call.when == "call" and isinstance(context, BrowserContext):
        report.sections += [(page.url, describe(page)) for page in context.pages]
    return report


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
