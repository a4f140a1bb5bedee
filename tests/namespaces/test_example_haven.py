"""Haven moves from LiveKit Cloud to its own hub by its `.env` alone, and no third party hears of its calls."""

import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.documents import ROOT
from tests.kit.browser import Guest, launching, profile
from tests.kit.guide import follow, sit_down
from tests.kit.netns import Namespace
from tests.namespaces.capture import capturing
from tests.namespaces.examples import (
    copy_example,
    digest_files,
    run_program,
    take_camera,
    wait_heard,
    wait_seen_and_heard,
)

README = ROOT / "examples/haven/README.md"
URL = "http://127.0.0.1:3000/"

# What Chromium looks up by itself, whatever page is open, and how it says that it listens for names of the network.
BROWSERS_OWN = (
    " update.googleapis.com.",
    " accounts.google.com.",
    " content-autofill.googleapis.com.",
    "igmp v3 report",
)


def test_haven_moves_by_its_env_alone(machine: Namespace, outside: Namespace, tmp_path: Path) -> None:
    with sit_down(machine) as desk, capturing(outside, "eth0") as capture:
        capture.prove(machine, 4, 6)
        copy_example("haven", desk)
        shutil.copy(desk.folder / ".env.example", desk.folder / ".env")
        before = digest_files(desk.folder)
        follow(README, desk)
        after = digest_files(desk.folder)
        changed = {name for name in before if after[name] != before[name]}
        assert changed == {".env"}
        assert "livekit.cloud" not in (desk.folder / ".env").read_text()
        with (
            run_program(desk, ["-m", "haven.app"], URL),
            launching(tmp_path, machine.prefix) as browser,
        ):
            meet(browser)
        desk.type("lkhub down --now")
        strangers = [line for line in capture.strangers(machine) if not any(own in line for own in BROWSERS_OWN)]
        assert strangers == []


def meet(browser: Browser) -> None:
    """Two people in a room, one of them through the relay alone."""
    with profile(browser) as context:
        ada, grace = join(context.new_page(), "Ada"), join(context.new_page(), "Grace", relayed=True)
        wait_seen_and_heard(ada, "Grace")
        wait_seen_and_heard(grace, "Ada")
        assert Guest(ada).paths() == {"udp"}
        assert Guest(grace).paths() == {"relay/udp"}
        grace.close()
        expect(ada.locator("[data-identity=Grace]")).to_have_count(0)
        join(context.new_page(), "Lin", camera=False)
        wait_heard(ada, "Lin")


def join(page: Page, name: str, *, relayed: bool = False, camera: bool = True) -> Page:
    """The page of a person who has joined the call."""
    page.goto(URL)
    if not camera:
        take_camera(page)
    page.fill("#user", name)
    page.set_checked("#relayed", relayed)
    page.click("text=Join")
    page.wait_for_function("document.getElementById('state').textContent === 'in lounge'")
    return page
