"""The pages for people with low vision, with screen readers, with only a keyboard, or with difficulty hitting small
targets."""

from playwright.sync_api import BrowserContext, Page, expect

from tests.kit.accessible import check
from tests.kit.hub import Hub

FOCUSED = "() => document.activeElement.dataset.testid ?? document.activeElement.tagName"


def focused(page: Page) -> str:
    return str(page.evaluate(FOCUSED))


def test_pages_around_a_call(context: BrowserContext, hub: Hub) -> None:
    url = f"http://127.0.0.1:{hub.ports['web']}"
    page = context.new_page()
    for path, shown in (("/", "home"), ("/elsewhere", "not-found"), ("/join/lobby#damaged", "link-problem")):
        page.goto(f"{url}{path}")
        expect(page.get_by_test_id(shown)).to_be_visible()
        check(page)
    # What the hub says without its web application.
    page.goto(f"http://rebound.test:{hub.ports['web']}/")
    expect(page.get_by_role("status")).to_contain_text("This is not the name of this hub")
    check(page)
    page.goto(f"{url}/join/other")
    page.get_by_test_id("encryption-toggle").click()
    expect(page.get_by_test_id("passphrase-input")).to_be_visible()
    check(page)
    page.close()


def test_a_call_by_keyboard_alone(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{hub.ports['web']}/join/keys")
    page.get_by_test_id("name-input").focus()
    page.keyboard.type("Ann")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("call")).to_be_visible()
    assert focused(page) == "H1", "a call begins at the name of its room"
    check(page)
    page.keyboard.press("Tab")
    assert focused(page) == "people"
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("people-panel")).to_be_visible()
    check(page)
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("people-panel")).to_have_count(0)
    assert focused(page) == "people", "focus goes back to what opened the panel"
    page.get_by_test_id("chat").focus()
    page.keyboard.press("Enter")
    assert focused(page) == "chat-input"
    page.keyboard.type("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("chat-message")).to_have_attribute("data-delivery", "sent")
    assert focused(page) == "chat-input"
    check(page)
    page.keyboard.press("Escape")
    assert focused(page) == "chat"
    page.get_by_test_id("devices").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("low-power")).to_be_visible()
    check(page)
    page.keyboard.press("Escape")
    assert focused(page) == "devices"
    page.get_by_test_id("leave").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("left")).to_be_visible()
    assert focused(page) == "H1", "and ends at what became of it"
    check(page)
    page.close()
