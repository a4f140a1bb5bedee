"""What a call shows, and what happens to messages, during a reconnect."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import psutil
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.kit.accessible import check
from tests.kit.browser import Guest, join
from tests.kit.hub import Hub
from tests.waiting import wait_until


@contextmanager
def media_gone(hub: Hub) -> Iterator[None]:
    """While this lasts, no server answers calls, and the supervisor starts none."""
    supervisor, media = psutil.Process(hub.supervisor_pid()), psutil.Process(hub.pids()["media"])
    supervisor.suspend()
    try:
        media.kill()
        yield
    finally:
        supervisor.resume()


def media_is_up(hub: Hub) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{hub.ports['signal']}").is_success
    return False


# Holds every new connection for media up, so that a call stays between its old one and its new one.
HOLD = """
() => {
  const gate = new Promise(open => { window.release = open; });
  const original = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = async function (...args) {
    await gate;
    return original.apply(this, args);
  };
}
"""


# Only signalling is being resumed, the media connection has ended, and the page says so: no old picture is shown as
# current.
CUT_OFF = """
() => {
  const banner = document.querySelector('[data-testid=reconnecting]');
  return banner?.dataset.state === 'signalReconnecting'
    && window.connections.every(connection => connection.connectionState === 'disconnected')
    && banner.innerText.includes('nothing new arrives')
    && document.querySelector('[data-testid=ice-path]').dataset.path === 'none'
    && document.querySelectorAll('[data-testid=tile][data-away=true]').length === 2;
}
"""


def enter(context: BrowserContext, hub: Hub, room: str, name: str) -> Page:
    return join(context, f"http://127.0.0.1:{hub.ports['web']}/join/{room}", name).page


def write(page: Page, text: str) -> None:
    page.get_by_test_id("chat-input").fill(text)
    page.get_by_test_id("chat-send").click()
    expect(page.get_by_test_id("chat-input")).to_have_value("")


def read(page: Page) -> list[str]:
    return page.locator("[data-testid=chat-message] .message-body").all_inner_texts()


def expect_as_it_was(page: Page, microphone: bool) -> None:
    """The devices of this person, and the other one in the call."""
    expect(page.get_by_test_id("microphone")).to_have_attribute("aria-pressed", str(microphone).lower())
    expect(page.get_by_test_id("camera")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("people")).to_have_text("2")
    expect(page.get_by_test_id("tile")).to_have_count(2)
    expect(page.get_by_text("Nobody else is here yet.")).to_have_count(0)


def test_a_call_that_is_made_anew_claims_nothing_false_and_loses_nothing_that_was_written(
    context: BrowserContext, hub: Hub
) -> None:
    ann, bob = (enter(context, hub, "anew", name) for name in ("Ann", "Bob"))
    for page in (ann, bob):
        Guest(page).wait_receiving()
        expect(page.get_by_test_id("people")).to_have_text("2")
        page.get_by_test_id("chat").click()
    write(ann, "before")
    expect(bob.get_by_test_id("chat-message")).to_have_count(1)
    for page in (ann, bob):
        page.evaluate(HOLD)
    write(ann, "into the dying connection")
    with media_gone(hub):
        for page in (ann, bob):
            expect(page.get_by_test_id("reconnecting")).to_be_visible()
            expect_as_it_was(page, microphone=True)
            expect(page.locator("[data-testid=quality]:visible")).to_have_count(0)
        write(ann, "while nobody answers")
        for page in (ann, bob):
            # Long before livekit-client gives the connection for media up, the browser knows that nothing comes.
            page.wait_for_function(CUT_OFF)
            expect_as_it_was(page, microphone=True)
        expect(ann.get_by_test_id("delivery").last).to_contain_text("Waits for the connection")
    for page in (ann, bob):
        expect(page.get_by_test_id("reconnecting")).to_have_attribute("data-state", "reconnecting")
        expect_as_it_was(page, microphone=True)
        expect(page.get_by_test_id("muted")).to_have_count(0)
        expect(page.get_by_test_id("away")).to_have_count(2)
    # A person must be able to turn off the microphone without waiting.
    ann.get_by_test_id("microphone").click()
    expect_as_it_was(ann, microphone=False)
    # The first one to return waits for the others.
    ann.evaluate("() => window.release()")
    expect(ann.get_by_test_id("delivery").last).to_contain_text("Waits for Bob to be connected again")
    expect(ann.get_by_test_id("away")).to_have_count(1)
    expect(ann.locator("[data-testid=tile][data-away=true] [data-testid=muted]")).to_have_count(0)
    bob.evaluate("() => window.release()")
    for page in (ann, bob):
        expect(page.get_by_test_id("reconnecting")).to_have_count(0)
        expect(page.get_by_test_id("away")).to_have_count(0)
        expect_as_it_was(page, microphone=page is bob)
    expect(bob.locator("[data-testid=tile] [data-testid=muted]")).to_have_count(1)
    wanted = ["before", "into the dying connection", "while nobody answers"]
    wait_until(lambda: len(read(bob)) == len(wanted), "what was written arrives")
    assert read(bob) == wanted, "each once, in order"
    assert read(ann) == wanted
    expect(ann.locator("[data-testid=chat-message]:not([data-delivery=sent])")).to_have_count(0)
    expect(ann.get_by_test_id("chat-gap")).to_have_count(1)
    for page in (ann, bob):
        said = page.get_by_test_id("live-region").inner_text()
        assert "left" not in said, "nobody went"
        assert said.count("joined") == (page is ann), "and nobody came but Bob, in the beginning"
    ann.close()
    bob.close()


def test_undelivered_messages_are_reported_when_the_call_ends(context: BrowserContext, hub: Hub) -> None:
    page = enter(context, hub, "alone", "Ann")
    page.get_by_test_id("chat").click()
    with media_gone(hub):
        expect(page.get_by_test_id("reconnecting")).to_be_visible()
        write(page, "is anybody there?")
        page.get_by_test_id("leave").click()
        expect(page.get_by_test_id("unsent")).to_contain_text("is anybody there?")


# livekit-client waits for its first answer for a quarter of a minute; half a second of it is enough here.
SHORTEN = """
  const original = window.setTimeout.bind(window);
  window.shorten = true;
  window.setTimeout = (call, ms, ...rest) => original(call, window.shorten && ms === 15000 ? 500 : ms, ...rest);
"""


def test_person_who_joins_while_media_is_down_is_told_so_and_no_firewall_is_blamed(
    context: BrowserContext, hub: Hub
) -> None:
    page = context.new_page()
    page.add_init_script(SHORTEN)
    page.goto(f"http://127.0.0.1:{hub.ports['web']}/join/early")
    page.get_by_test_id("name-input").fill("Ann")
    page.wait_for_load_state("networkidle")
    with media_gone(hub):
        page.get_by_test_id("join").click()
        expect(page.get_by_test_id("join-problem")).to_contain_text("The call server does not answer")
    wait_until(lambda: media_is_up(hub), "media is back")
    page.evaluate("() => { window.shorten = false; }")
    page.get_by_test_id("join").click()
    expect(page.get_by_test_id("call")).to_be_visible()
    page.close()


# Data channels are not ready for as long as `window.ready` is false, and refuse everything then.
REFUSE = """
() => {
  const channel = RTCDataChannel.prototype;
  const state = Object.getOwnPropertyDescriptor(channel, 'readyState');
  window.ready = false;
  Object.defineProperty(channel, 'readyState', {
    get() { return window.ready ? state.get.call(this) : 'connecting'; },
  });
  channel.send = () => { throw new Error('refused'); };
}
"""


def test_a_message_that_was_not_sent_is_reported_also_if_the_chat_is_closed(context: BrowserContext, hub: Hub) -> None:
    page = enter(context, hub, "refused", "Ann")
    page.get_by_test_id("chat").click()
    page.evaluate(REFUSE)
    write(page, "hello")
    page.get_by_test_id("chat-input").fill("half a sen")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("chat-panel")).to_have_count(0)
    page.evaluate("() => { window.ready = true; }")
    expect(page.get_by_test_id("call-problem")).to_contain_text("A message was not sent")
    check(page)
    page.get_by_test_id("chat").click()
    expect(page.get_by_test_id("call-problem")).to_have_count(0)
    expect(page.get_by_test_id("chat-input")).to_have_value("half a sen")
    expect(page.get_by_test_id("delivery")).to_contain_text("Not sent.")
    page.get_by_test_id("chat-retry").click()
    expect(page.get_by_test_id("live-region")).to_contain_text("Not sent: hello")
    check(page)
    page.close()


SECRET, OTHER = "correct horse", "battery staple"


@pytest.fixture
def encrypted(context: BrowserContext, hub: Hub) -> Iterator[dict[str, Page]]:
    """Two with the same passphrase, one with another, one without. Nobody sends media or messages yet."""
    pages = {}
    for name, passphrase in (("Ann", SECRET), ("Bob", SECRET), ("Eve", ""), ("Mallory", OTHER)):
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{hub.ports['web']}/join/secret")
        page.get_by_test_id("name-input").fill(name)
        if passphrase:
            page.get_by_test_id("encryption-toggle").click()
            page.get_by_test_id("passphrase-input").fill(passphrase)
        for device in ("camera", "microphone"):
            if page.get_by_test_id(f"preview-{device}").get_attribute("aria-pressed") == "true":
                page.get_by_test_id(f"preview-{device}").click()
        page.get_by_test_id("join").click()
        page.get_by_test_id("chat").click()
        pages[name] = page
    for page in pages.values():
        expect(page.get_by_test_id("people")).to_have_text("4")
    yield pages
    for page in pages.values():
        page.close()


def test_in_an_encrypted_call_plain_messages_are_marked_and_labels_are_true(encrypted: dict[str, Page]) -> None:
    ann, bob, eve = encrypted["Ann"], encrypted["Bob"], encrypted["Eve"]
    expect(ann.get_by_test_id("audience")).to_have_attribute("data-privacy", "encrypted")
    expect(eve.get_by_test_id("audience")).to_have_attribute("data-privacy", "plain")
    write(ann, "for who has the passphrase")
    expect(bob.get_by_test_id("chat-message")).to_have_attribute("data-plain", "false")
    # A person without a passphrase now knows that another one encrypts, without a single track.
    expect(eve.get_by_test_id("audience")).to_have_attribute("data-privacy", "locked-out")
    expect(eve.get_by_test_id("encryption")).to_have_attribute("data-state", "locked-out")
    write(eve, "for everyone")
    for page in (ann, bob):
        message = page.get_by_test_id("chat-message").filter(has_text="for everyone")
        expect(message.get_by_test_id("plain-message")).to_be_visible()
    assert read(eve) == ["for everyone"], "what was encrypted can't be read without the passphrase"
    expect(eve.get_by_test_id("chat-unreadable")).to_contain_text("it is encrypted, and you have no passphrase")
    write(encrypted["Mallory"], "with another one")
    for page in (ann, bob):
        expect(page.get_by_test_id("undecryptable")).to_contain_text("Mallory")
        assert "with another one" not in read(page)
        told = page.get_by_test_id("chat-unreadable")
        expect(told).to_have_count(1)
        expect(told).to_contain_text("Mallory sent could not be read: your passphrases differ")
    # Encrypted and plain in turn: none lends its mark to another.
    write(bob, "again")
    write(eve, "and again")
    expect(ann.get_by_test_id("chat-message")).to_have_count(4)
    marks = [each.get_attribute("data-plain") for each in ann.get_by_test_id("chat-message").all()]
    assert marks == ["false", "true", "false", "true"]


def test_a_passphrase_differs_until_it_is_changed(encrypted: dict[str, Page]) -> None:
    ann, eve, mallory = encrypted["Ann"], encrypted["Eve"], encrypted["Mallory"]
    write(mallory, "with another one")
    expect(ann.get_by_test_id("undecryptable")).to_contain_text("Mallory")
    expect(ann.get_by_test_id("encryption")).to_have_attribute("data-state", "mismatch")
    assert "Other passphrase" in ann.get_by_test_id("live-region").inner_text()
    ann.get_by_test_id("microphone").click()
    expect(mallory.get_by_test_id("encryption")).to_have_attribute("data-state", "mismatch")
    tile = "[data-testid=tile][data-encryption=locked-out]"
    expect(eve.locator(tile)).to_have_count(2)
    check(eve)
    mallory.get_by_test_id("encryption").click()
    check(mallory)
    mallory.get_by_test_id("change-passphrase-input").fill(SECRET)
    mallory.get_by_test_id("change-passphrase").click()
    expect(mallory.get_by_test_id("encryption")).to_have_attribute("data-state", "on")
    # Ann was not told of it; she learns it from the first message that she can read.
    expect(ann.get_by_test_id("undecryptable")).to_have_count(1)
    write(mallory, "with yours")
    expect(ann.get_by_test_id("chat-message").last).to_contain_text("with yours")
    expect(ann.get_by_test_id("undecryptable")).to_have_count(0)
    expect(ann.get_by_test_id("encryption")).to_have_attribute("data-state", "on")
