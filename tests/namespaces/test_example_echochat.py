"""EchoChat takes its calls from a hub: two commands, sub-rooms, a range of UDP ports and then one."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.documents import ROOT, list_blocks
from tests.kit.browser import Guest, launching, profile
from tests.kit.guide import Desk, sit_down
from tests.kit.netns import Namespace
from tests.namespaces.examples import copy_example, run_program, take_camera, wait_heard, wait_seen_and_heard

README = ROOT / "examples/echochat/README.md"
URL = "http://127.0.0.1:8000/"


@pytest.mark.usefixtures("outside")
def test_echochat_takes_its_calls_from_a_hub(machine: Namespace, tmp_path: Path) -> None:
    with sit_down(machine) as desk:
        copy_example("echochat", desk)
        # Three people fill two rooms.
        replace_in(desk.folder / "hub.yaml", "capacity: 16", "capacity: 2")
        first = next(block for block in list_blocks(README) if block.language == "sh")
        desk.type(first.text)
        with run_program(desk, ["-m", "echochat.app"], URL), launching(tmp_path, machine.prefix) as browser:
            ports = meet(browser)
            assert all(50000 <= port <= 60000 for port in ports)
            join_without_devices(browser)
            join_without_a_camera(browser)
            write_after_a_connection_was_lost(browser)
            move_to_one_port(desk)
            assert meet(browser) == {7882}
        desk.type("lkhub down --now")


def move_to_one_port(desk: Desk) -> None:
    replace_in(desk.folder / "hub.yaml", "udp: 50000-60000", "udp: 7882")
    desk.type("lkhub up --now")


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def meet(browser: Browser) -> set[int]:
    """Three people, of whom two fit into a room. Returns the UDP ports of media that they used."""
    with profile(browser) as one, profile(browser) as two, profile(browser) as three:
        ada, grace, lin = (
            sign_in(one.new_page(), "Ada"),
            sign_in(two.new_page(), "Grace"),
            sign_in(three.new_page(), "Lin"),
        )
        ada.fill("#text", "hello")
        ada.click("text=Send")
        expect(grace.locator("#messages li").last).to_have_text("Ada hello")
        assert [join(page) for page in (ada, grace, lin)] == ["in general", "in general", "in general(2)"]
        wait_seen_and_heard(ada, "Grace")
        wait_seen_and_heard(grace, "Ada")
        expect(lin.locator("video[data-identity=Lin]")).to_have_count(1)
        expect(lin.locator("video")).to_have_count(1)
        ends = Guest(ada).ends() | Guest(grace).ends()
        grace.click("text=Leave the call")
        expect(ada.locator("[data-identity=Grace]")).to_have_count(0)
        for page in (ada, lin):
            page.click("text=Leave the call")
            expect(page.locator("#call-state")).to_have_text("")
        return {int(end.rpartition(":")[2]) for end in ends}


def join_without_a_camera(browser: Browser) -> None:
    """Most desktop computers have none, and their users can speak."""
    with profile(browser) as one, profile(browser) as two:
        ada, grace = sign_in(one.new_page(), "Ada"), sign_in(two.new_page(), "Grace")
        take_camera(ada)
        assert [join(page) for page in (ada, grace)] == ["in general", "in general"]
        wait_heard(grace, "Ada")
        ada.click("text=Leave the call")


def join_without_devices(browser: Browser) -> None:
    """The person is told why, and is not in the call that the page says it has left."""
    with profile(browser) as one:
        page = sign_in(one.new_page(), "Ada")
        page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no camera')); }")
        page.click("text=Join the call")
        expect(page.locator("#call-state")).to_have_text("no camera")
        expect(page.locator("#call")).to_have_text("Join the call")
        page.wait_for_function("window.sockets.every((socket) => !/rtc/.test(socket.url) || socket.readyState > 1)")


def write_after_a_connection_was_lost(browser: Browser) -> None:
    """What is written meanwhile stays where it was written, and no message looks sent that was not."""
    with profile(browser) as one:
        page = sign_in(one.new_page(), "Ada")
        page.wait_for_function("window.sockets[0].readyState === WebSocket.OPEN")
        left = page.evaluate(
            """() => {
              window.sockets[0].close();
              document.getElementById('text').value = 'still here';
              document.querySelector('#write button').click();
              return document.getElementById('text').value;
            }"""
        )
        assert left == "still here"
        page.wait_for_function("window.sockets[1]?.readyState === WebSocket.OPEN")
        page.click("text=Send")
        expect(page.locator("#messages li").last).to_have_text("Ada still here")


def sign_in(page: Page, name: str) -> Page:
    page.goto(URL)
    page.fill("#name", name)
    page.fill("#password", "correct horse")
    page.click("#sign-in button")
    expect(page.locator("#room")).to_have_text("general")
    return page


def join(page: Page) -> str:
    page.click("text=Join the call")
    state = page.locator("#call-state")
    expect(state).to_have_text(re.compile("^in "))
    return state.text_content() or ""
