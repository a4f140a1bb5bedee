"""Accessibility of a page: axe-core's findings, and whether fingers can hit its controls."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# The smallest side of a control that a finger can hit, in CSS pixels.
TARGET = 44

# Controls that are smaller, except links in running text; the target of a checkbox is its label.
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


def check(page: Page) -> None:
    """No finding of axe-core and no control that is too small, on a phone in light mode and on a desktop in dark
    mode."""
    # `scripts/setup` installs only the packages of the build; axe-core is for tests.
    assert AXE.exists(), "axe-core is not installed: (cd web && npm ci --ignore-scripts)"
    page.evaluate(AXE.read_text())
    _check_so(page, 390, "light")
    _check_so(page, 1440, "dark")


def _check_so(page: Page, width: int, scheme: Literal["light", "dark"]) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    # Colours are compared after every transition has ended.
    page.wait_for_function("() => document.getAnimations().every(each => each.effect.getTiming().iterations > 1)")
    assert page.evaluate(CHECK, RULES) == []
    assert page.evaluate(SMALL, TARGET) == []
