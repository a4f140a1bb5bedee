"""The pages for those who see little, hear them read out, use a keyboard alone, or hit small targets badly."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import BrowserContext, Page, expect

from tests.kit.hub import Hub

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# The smallest side of what a finger has to hit, in CSS pixels.
TARGET = 44

# What can be pressed and is smaller, but for links in the middle of a text; of a box the label is the target.
SMALL = """
target => [...document.querySelectorAll('button, a[href], input, select, summary, [role=button]')]
  .map(element => element.matches('input[type=checkbox]') ? element.closest('label') : element)
  .filter(element => !element.closest('p'))
  .map(element => [element, element.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < target - 0.5 || box.height < target - 0.5))
  .map(([element, box]) => `${element.outerHTML.slice(0, 90)} ${box.width}x${box.height}`)
"""

CHECK = """
async tags => (await axe.run(document, {runOnly: tags})).violations
  .map(({id, nodes}) => [id, nodes.map(node => node.html.slice(0, 120) + ' ' + node.failureSummary)])
"""

FOCUSED = "() => document.activeElement.dataset.testid ?? document.activeElement.tagName"


def check(page: Page) -> None:
    """Nothing that axe-core or a finger would complain about, on a phone by day and on a desk by night."""
    page.evaluate(AXE.read_text())
    _check_so(page, 390, "light")
    _check_so(page, 1440, "dark")


def _check_so(page: Page, width: int, scheme: Literal["light", "dark"]) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    # Colours are those of the end of every transition.
    page.wait_for_function("() => document.getAnimations().every(each => each.effect.getTiming().iterations > 1)")
    assert page.evaluate(CHECK, RULES) == []
    assert page.evaluate(SMALL, TARGET) == []


def focused(page: Page) -> str:
    return str(page.evaluate(FOCUSED))


def test_pages_around_a_call(context: BrowserContext, hub: Hub) -> None:
    url = f"http://127.0.0.1:{hub.ports['web']}"
    page = context.new_page()
    for path, shown in (("/", "home"), ("/elsewhere", "not-found"), ("/join/lobby#damaged", "link-problem")):
        page.goto(f"{url}{path}")
        expect(page.get_by_test_id(shown)).to_be_visible()
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
