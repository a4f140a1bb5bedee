"""The pages outside of a call, in Chromium."""

from playwright.sync_api import BrowserContext, Page, expect

from tests.kit.hub import Hub

# What the first visit of the page before a call may take off the line (docs: a slow phone's first impression).
FIRST_LOAD_BYTES = 300_000

# Bytes that came over the line for the page and all that it loaded, by path. Nothing for what the browser had kept.
TRANSFERRED = """
() => Object.fromEntries(
  [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .map(entry => [new URL(entry.name).pathname, entry.transferSize])
)
"""


def visit(page: Page, url: str) -> dict[str, int]:
    """Open the page before a call and wait until all is there, the code of the call too; what that took."""
    page.goto(url)
    expect(page.get_by_test_id("join")).to_be_visible()
    page.wait_for_load_state("networkidle")
    taken: dict[str, int] = page.evaluate(TRANSFERRED)
    assert any("/Call-" in path for path in taken), "the code of the call is fetched while a person chooses devices"
    return taken


def test_the_page_before_a_call_is_light_and_lighter_the_second_time(context: BrowserContext, hub: Hub) -> None:
    url = f"http://127.0.0.1:{hub.ports['web']}/join/lobby"
    page = context.new_page()
    first = visit(page, url)
    print(f"first visit: {sum(first.values()):,} bytes in {len(first)} requests")
    assert 0 < sum(first.values()) <= FIRST_LOAD_BYTES, first
    again = visit(page, url)
    assert {path for path, size in again.items() if size} <= {"/join/lobby", "/api/hub"}, "the rest was kept"
