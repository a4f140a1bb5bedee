"""The page that shows the API, in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.kit.accessible import check
from tests.kit.hub import Hub, make_hub

SPEC = "access: {modes: [open, api-keys]}\n"


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub with API keys."""
    with make_hub() as made:
        made.write_spec(SPEC)
        made.up("--no-verify")
        yield made


def test_page_shows_what_this_hub_serves(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    url = f"http://127.0.0.1:{hub.ports['web']}"
    page.goto(f"{url}/api/docs")
    addresses = page.get_by_test_id("api-address")
    expect(addresses).to_have_count(10)
    expect(page.get_by_test_id("api-intro")).to_contain_text("A key of lkhub access create.")
    token = addresses.filter(has_text="/api/livekit/token")
    token.locator("summary").click()
    expect(token).to_contain_text("room-full: No seat is free")
    expect(token).to_contain_text("Who may ask: anyone, also with an API key")
    expect(token).to_contain_text(f"{url}/api/livekit/token")
    for address in addresses.all():
        if address.get_attribute("open") is None:
            address.locator("summary").click()
    check(page)
    assert all(each.startswith(url) for each in asked), "no other server is asked"
    assert said == [], "the content security policy refuses nothing"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_start_page_loads_nothing_of_it(context: BrowserContext, hub: Hub) -> None:
    page: Page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{hub.ports['web']}/")
    expect(page.get_by_test_id("home")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert asked
    assert not [each for each in asked if "ApiPage" in each or "openapi" in each]
    page.close()
