"""The people in a call, how they come and go, and what the page shows of that."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from livekit import api
from playwright.sync_api import BrowserContext, Page, expect

from tests.kit.browser import join
from tests.kit.hub import Hub
from tests.waiting import DEADLINE_SECONDS, wait_until

# What the page has asked of the system to keep the screen on.
COUNT_LOCKS = """
  window.locks = 0;
  Object.defineProperty(navigator, 'wakeLock', {value: {request: async () => {
    window.locks++;
    return {release: async () => { window.locks--; }};
  }}});
"""

# Another program has the camera.
TAKE_CAMERA = """
() => {
  const devices = navigator.mediaDevices, original = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async () => { throw new DOMException('in use', 'NotReadableError'); };
  window.giveCameraBack = () => { devices.getUserMedia = original; };
}
"""

# How the camera is encoded: frames per second that its first layer may have, and how many layers are sent.
ENCODING = """
() => {
  const senders = window.connections.flatMap(connection => connection.getSenders());
  const video = senders.filter(sender => sender.track?.kind === 'video' && sender.track.readyState === 'live').at(-1);
  const layers = video?.getParameters().encodings ?? [];
  return [layers[0]?.maxFramerate, layers.filter(layer => layer.active).length];
}
"""


# Whether the element is visible: no other element covers its middle.
IS_ON_TOP = """
element => {
  element.parentElement.style.pointerEvents = 'auto';
  const {x, y, width, height} = element.getBoundingClientRect();
  return element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}
"""

# Notices about arrivals and departures stay, also on a slow machine where the next one takes a while.
HOLD_NOTICES = """
() => {
  const original = window.setTimeout.bind(window);
  window.setTimeout = (call, ms, ...rest) => original(call, ms === 5000 ? 600000 : ms, ...rest);
}
"""

# Whether a notice covers a person's picture or initials.
COVERS_A_FACE = """
() => {
  const boxes = selector => [...document.querySelectorAll(selector)].map(each => each.getBoundingClientRect());
  return boxes('.comings li').some(one => boxes('.tile .avatar').some(other =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom));
}
"""

# Whether the names of the last notice can be read to their end.
IS_WHOLE = """
() => {
  const names = [...document.querySelectorAll('.comings li span')].at(-1);
  return names.scrollWidth <= names.clientWidth;
}
"""


def enter(context: BrowserContext, hub: Hub, room: str, name: str, camera: bool = False) -> Page:
    page = join(context, f"http://127.0.0.1:{hub.ports['web']}/join/{room}", name, camera=camera).page
    page.evaluate(HOLD_NOTICES)
    return page


@contextmanager
def recorder(hub: Hub, room: str) -> Iterator[None]:
    """A program that records: it is hidden, and the server announces the recording to everyone."""
    env = hub.env()
    grants = api.VideoGrants(room_join=True, room=room, hidden=True, recorder=True)
    token = api.AccessToken(env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"]).with_identity("tape").with_grants(grants)
    where = {"url": env["LIVEKIT_URL"], "token": token.to_jwt()}
    argv = [sys.executable, "-m", "tests.kit.person"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stdin
        try:
            process.stdin.write(json.dumps(where) + "\n")
            process.stdin.flush()
            yield
        finally:
            process.stdin.close()  # it leaves then
            process.wait(DEADLINE_SECONDS)


def test_people_are_listed_and_their_coming_and_going_is_announced(context: BrowserContext, hub: Hub) -> None:
    ann = enter(context, hub, "company", "Ann")
    ann.get_by_test_id("people").click()
    expect(ann.get_by_test_id("person")).to_have_count(1)
    bob = enter(context, hub, "company", "Bob")
    expect(ann.get_by_test_id("comings")).to_contain_text("Bob joined")
    expect(ann.get_by_test_id("person")).to_have_count(2)
    expect(ann.get_by_test_id("person").last).to_contain_text("Bob")
    expect(bob.get_by_test_id("comings")).to_have_text("")
    bob.get_by_test_id("leave").click()
    expect(ann.get_by_test_id("comings")).to_contain_text("Bob left")
    expect(ann.get_by_test_id("person")).to_have_count(1)
    said = ann.get_by_test_id("live-region").inner_text()
    assert "Bob joined" in said
    assert "Bob left" in said
    assert ann.locator("[role=alert], [role=status], [aria-live=polite], [aria-live=assertive]").count() == 1
    bob.close()
    ann.close()


def test_notices_of_several_who_come_and_go_cover_no_face(context: BrowserContext, hub: Hub) -> None:
    ann = enter(context, hub, "crowd", "Ann")
    others = [enter(context, hub, "crowd", name) for name in ("Bob", "Eve with a name of some length", "Dan")]
    expect(ann.get_by_test_id("tile")).to_have_count(4)
    others.pop().get_by_test_id("leave").click()
    expect(ann.get_by_test_id("tile")).to_have_count(3)
    told = ann.get_by_test_id("comings").locator("li")
    expect(told.last).to_contain_text("Dan left")
    expect(told).to_have_count(2)
    expect(told.first).to_contain_text("Bob and Eve with a name of some length joined")
    for width in (390, 768, 1440):
        ann.set_viewport_size({"width": width, "height": 844})
        ann.wait_for_function(f"() => !({COVERS_A_FACE})()")
        ann.wait_for_function(IS_WHOLE)
    for page in (ann, *others):
        page.close()


@pytest.mark.parametrize("panel", ["people", "chat"])
@pytest.mark.parametrize("width", [390, 1440])
def test_an_open_panel_hides_nobody_who_comes(context: BrowserContext, hub: Hub, panel: str, width: int) -> None:
    ann = enter(context, hub, "narrow", "Ann")
    ann.set_viewport_size({"width": width, "height": 800})
    ann.get_by_test_id(panel).click()
    bob = enter(context, hub, "narrow", "Bob")
    told = ann.get_by_test_id("comings").locator("li")
    expect(told).to_contain_text("Bob joined")
    assert told.evaluate(IS_ON_TOP)
    bob.close()
    ann.close()


def test_the_address_of_the_room_is_offered_where_it_is_enough_and_a_token_never(
    context: BrowserContext, hub: Hub
) -> None:
    context.grant_permissions(["camera", "microphone", "clipboard-read", "clipboard-write"])
    ann = enter(context, hub, "shared room", "Ann")
    ann.get_by_test_id("people").click()
    ann.get_by_test_id("copy-address").click()
    wanted = f"http://127.0.0.1:{hub.ports['web']}/join/shared%20room"
    expect(ann.get_by_test_id("room-address")).to_have_value(wanted)
    assert ann.evaluate("() => navigator.clipboard.readText()") == wanted
    ann.close()
    # With a link of one's own it is still the room's address that is copied.
    linked = join(context, hub.run("token", "--room", "shared room", "--link").stdout.strip(), camera=False).page
    linked.get_by_test_id("people").click()
    expect(linked.get_by_test_id("room-address")).to_have_value(wanted)
    linked.close()


def test_a_recording_is_shown_for_as_long_as_it_runs(context: BrowserContext, hub: Hub) -> None:
    ann = enter(context, hub, "taped", "Ann")
    expect(ann.get_by_test_id("recording")).to_have_count(0)
    with recorder(hub, "taped"):
        expect(ann.get_by_test_id("recording")).to_be_visible()
        notice = ann.get_by_test_id("recording-notice")
        expect(notice).to_contain_text("This call is being recorded")
        notice.get_by_role("button").click()
        expect(notice).to_have_count(0)
        expect(ann.get_by_test_id("recording")).to_be_visible()
        bob = enter(context, hub, "taped", "Bob")
        expect(bob.get_by_test_id("recording-notice")).to_be_visible()
        bob.close()
    expect(ann.get_by_test_id("recording")).to_have_count(0)
    assert "The recording has ended." in ann.get_by_test_id("live-region").inner_text()
    ann.close()


def test_the_screen_stays_on_in_a_call_and_low_power_mode_sends_less(context: BrowserContext, hub: Hub) -> None:
    context.add_init_script(COUNT_LOCKS)
    ann = enter(context, hub, "long", "Ann", camera=True)
    wait_until(lambda: ann.evaluate("() => window.locks") == 1, "the screen is kept on")
    wait_until(lambda: ann.evaluate(ENCODING)[1] > 1, "the camera is sent in layers")
    ann.get_by_test_id("devices").click()
    ann.get_by_test_id("low-power").check()
    wait_until(lambda: ann.evaluate(ENCODING) == [15, 1], "one layer of 15 pictures a second is sent")
    ann.get_by_test_id("low-power").uncheck()
    wait_until(lambda: ann.evaluate(ENCODING)[1] > 1, "the camera is sent as before")
    expect(ann.get_by_test_id("camera")).to_have_attribute("aria-pressed", "true")
    ann.get_by_test_id("low-power").check()
    wait_until(lambda: ann.evaluate(ENCODING) == [15, 1], "it is sent small again")
    ann.evaluate(TAKE_CAMERA)
    ann.get_by_test_id("low-power").uncheck()
    expect(ann.get_by_test_id("call-problem")).to_contain_text("The camera is busy")
    expect(ann.get_by_test_id("camera")).to_have_attribute("aria-pressed", "false")
    # The notice disappears when it no longer applies.
    ann.evaluate("() => window.giveCameraBack()")
    ann.get_by_test_id("camera").click()
    expect(ann.get_by_test_id("camera")).to_have_attribute("aria-pressed", "true")
    expect(ann.get_by_test_id("call-problem")).to_have_count(0)
    ann.get_by_test_id("leave").click()
    wait_until(lambda: ann.evaluate("() => window.locks") == 0, "the screen may go off")
    ann.close()
