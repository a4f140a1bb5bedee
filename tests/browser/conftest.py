"""Fixtures of the browser tests: Debian's Chromium with fake devices."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.kit.hub import Hub, make_hub

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # A name that its owner has rebound to this machine.
    "--host-resolver-rules=MAP rebound.test 127.0.0.1",
    # What Chromium would ask of its maker's servers.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub that is up, for all tests of a file."""
    with make_hub() as made:
        made.up("--no-verify")
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own, with camera and microphone allowed."""
    made = browser.new_context(permissions=["camera", "microphone"], viewport={"width": 1440, "height": 900})
    made.set_default_timeout(20_000)
    yield made
    made.close()
