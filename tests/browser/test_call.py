"""A call in Chromium through the hub's own page, together with the other SDKs."""

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from hatch_build import ensure_webrtc
from tests.kit import browser
from tests.kit.hub import Hub
from tests.waiting import wait_until

PYTHON = [sys.executable, "-m", "tests.kit.person"]
ENGINE = Path(__file__).parents[2] / "engine"
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "call.png"

# Frames that each participant's video element has shown. None for a tile without a picture.
FRAMES = """
() => Object.fromEntries([...document.querySelectorAll('[data-testid=tile]:has(video)')].map(tile =>
  [tile.dataset.identity, tile.querySelector('video').getVideoPlaybackQuality().totalVideoFrames]))
"""

# Whether an audio element plays something that can be heard.
PLAYS_SOUND = """
async () => {
  const element = [...document.querySelectorAll('audio')].find(each => !each.paused && !each.muted && each.srcObject);
  if (!element) return false;
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(element.srcObject).connect(analyser);
  await new Promise(done => setTimeout(done, 300));
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  await context.close();
  return Math.max(...samples) > 0.05;
}
"""

# The contract's limits for Chromium when media is killed with -9.
MEDIAN_GAP_SECONDS, WORST_GAP_SECONDS, KILLS = 2.0, 4.0, 10


def join(context: BrowserContext, hub: Hub, room: str, name: str) -> Page:
    """Join a room by its page, under a name of one's own."""
    return browser.join(context, f"http://127.0.0.1:{hub.ports['web']}/join/{room}", name).page


def wait_both_move(page: Page, what: str) -> None:
    """Until the videos of two participants have shown new frames. A loaded machine shows less than one in a second."""
    fewest: dict[str, int] = {}

    def move() -> bool:
        shown: dict[str, int] = page.evaluate(FRAMES)
        for identity, frames in shown.items():  # a new video element counts from zero
            fewest[identity] = min(frames, fewest.get(identity, frames))
        return sum(frames > fewest[identity] for identity, frames in shown.items()) >= 2

    wait_until(move, what)


@contextmanager
def child(argv: list[str], hub: Hub, room: str, identity: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """A participant in a process of its own; gives what it last said that it received."""
    where = {"url": hub.env()["LIVEKIT_URL"], "token": hub.token(room, identity)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ENGINE.parent) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(where) + "\n")
        process.stdin.flush()
        lines = process.stdout
        try:
            yield lambda: json.loads(lines.readline() or "{}")
        finally:
            process.stdin.close()
            process.terminate()


def test_three_sdks_hear_and_see_each_other_in_one_room(context: BrowserContext, hub: Hub, tmp_path: Path) -> None:
    person = tmp_path / "sdkparticipant"
    ensure_webrtc()
    subprocess.run(["go", "build", "-o", person, "./internal/sdkparticipant"], cwd=ENGINE, check=True)
    page = join(context, hub, "three", "Chromium")
    with child([str(person)], hub, "three", "go") as go, child(PYTHON, hub, "three", "python") as py:
        chromium = wait_until(
            lambda: next((name.split("/")[0] for name in go() if name not in ("python/audio", "python/video")), None),
            "server-sdk-go receives Chromium",
        )
        wanted = {f"{chromium}/audio", f"{chromium}/video", "python/audio", "python/video"}
        wait_until(
            lambda: {name for name, count in go().items() if count > 20} >= wanted, f"server-sdk-go receives {wanted}"
        )
        wanted = {f"{chromium}/audio", f"{chromium}/video"}
        wait_until(lambda: {name for name, count in py().items() if count > 20} >= wanted, f"Python receives {wanted}")
        # Its own picture and Python's; server-sdk-go sends sound alone.
        wait_both_move(page, "Chromium shows moving pictures")


def test_tracks_that_do_not_say_what_they_are_are_seen_and_heard(context: BrowserContext, hub: Hub) -> None:
    page = join(context, hub, "unnamed", "Ann")
    with child([*PYTHON, "--unnamed"], hub, "unnamed", "robot"):
        tile = page.locator("[data-testid=tile][data-identity=robot]")
        expect(tile).to_have_count(1)
        expect(tile).to_have_attribute("data-source", "unknown")
        wait_both_move(page, "Chromium shows the robot's picture and its own")
        wait_until(partial(page.evaluate, PLAYS_SOUND), "Chromium plays the robot's sound")
        expect(tile.get_by_test_id("muted")).to_have_count(0)
        tile.get_by_test_id("pin").click()
        expect(page.get_by_test_id("stage")).to_have_attribute("data-layout", "focus")
        expect(page.locator(".focus-main [data-testid=tile]")).to_have_attribute("data-identity", "robot")


@pytest.mark.field
def test_resuming_client_still_sees_a_participant_who_left_and_came_back(context: BrowserContext, hub: Hub) -> None:
    """livekit-server reports to a client that resumes all sessions that ended just before, also replaced ones."""
    link = f"http://127.0.0.1:{hub.ports['web']}/join/back#{hub.token('back', 'ann')}"
    ann = browser.join(context, link).page
    bob = browser.join(context, f"http://127.0.0.1:{hub.ports['web']}/join/back", "Bob")
    wait_both_move(bob.page, "Ann's picture and Bob's own move")
    ann.close()
    ann = browser.join(context, link).page
    wait_both_move(bob.page, "the picture of Ann, who is back, moves")
    _, sockets = bob.opened()
    bob.page.evaluate("() => window.sockets.at(-1).close()")
    wait_until(lambda: bob.opened()[1] > sockets and bob.is_signalling(), "Bob signals again")
    expect(bob.page.get_by_test_id("reconnecting")).to_have_count(0)
    expect(bob.page.locator("[data-testid=tile][data-identity=ann] video")).to_have_count(1)
    wait_both_move(bob.page, "the picture of Ann moves after Bob has resumed")


@pytest.mark.field
def test_browsers_notice_nothing_of_other_keys_and_can_resume(context: BrowserContext, hub: Hub) -> None:
    """They joined with a key that is then revoked, and resume with the token that media has sent them."""
    old = hub.env()["LIVEKIT_API_KEY"]
    link = f"http://127.0.0.1:{hub.ports['web']}/join/keys"
    ann, bob = browser.join(context, link, "Ann"), browser.join(context, link, "Bob")
    for guest in (ann, bob):
        wait_both_move(guest.page, "both pictures move")
    sockets = bob.opened()
    for command in (("rotate",), ("revoke", old, "--yes")):
        done = hub.run("keys", *command)
        assert done.returncode == 0, done.stderr
    wait_both_move(bob.page, "the pictures still move")
    assert bob.opened() == sockets, "nothing was opened again"
    bob.page.evaluate("() => window.sockets.at(-1).close()")
    wait_until(lambda: bob.opened()[1] > sockets[1] and bob.is_signalling(), "Bob signals again")
    expect(bob.page.get_by_test_id("reconnecting")).to_have_count(0)
    for guest in (ann, bob):
        wait_both_move(guest.page, "both pictures move after Bob has resumed")


def test_two_browsers_see_each_other_and_the_path_in_use(context: BrowserContext, hub: Hub) -> None:
    ann = join(context, hub, "two", "Ann")
    bob = join(context, hub, "two", "Bob")
    for page in (ann, bob):
        wait_both_move(page, "both pictures move")
        expect(page.locator("[data-testid=ice-path]")).to_have_attribute("data-path", "udp")
    if os.environ.get("TAKE_PICTURES"):
        ann.bring_to_front()
        ann.mouse.move(5, 5)  # away from the tiles, whose buttons would appear
        expect(ann.get_by_test_id("comings")).to_have_text("")
        expect(ann.locator("[data-testid=quality][data-quality=excellent]")).to_have_count(2)
        wait_both_move(ann, "both pictures are seen")
        PICTURE.parent.mkdir(exist_ok=True)
        ann.screenshot(path=PICTURE)


def test_a_join_link_leads_into_the_call_and_leaves_no_token_in_the_address(context: BrowserContext, hub: Hub) -> None:
    link = hub.run("token", "--room", "linked", "--link").stdout.strip()
    page = context.new_page()
    page.goto(link)
    page.get_by_test_id("join").click()
    expect(page.get_by_test_id("call")).to_be_visible()
    assert "eyJ" not in page.url


def test_the_pages_load_nothing_from_anywhere_else(context: BrowserContext, hub: Hub) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    join(context, hub, "own", "Ann")
    own = (f"http://127.0.0.1:{hub.ports['web']}/", f"http://127.0.0.1:{hub.ports['signal']}/", "data:", "blob:")
    assert asked
    assert [url for url in asked if not url.startswith(own)] == []


@pytest.mark.timing
def test_killed_media_comes_back_in_a_browser(context: BrowserContext, hub: Hub) -> None:
    ann, bob = (browser.Guest(join(context, hub, "kills", name)) for name in ("Ann", "Bob"))
    gaps = []
    for _ in range(KILLS):
        media = hub.pids()["media"]
        for guest in (ann, bob):
            guest.wait_receiving()
        bob.watch_gap()
        os.kill(media, signal.SIGKILL)
        wait_until(lambda: bob.longest_gap() > 0.1, "the sound stopped")
        bob.wait_receiving()
        gaps.append(bob.longest_gap())
        wait_both_move(bob.page, "the pictures are back")
    print("gaps in s:", sorted(round(gap, 2) for gap in gaps))
    assert statistics.median(gaps) <= MEDIAN_GAP_SECONDS
    assert max(gaps) <= WORST_GAP_SECONDS


def test_a_foreign_page_gets_no_token(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    page.goto("about:blank")
    assert page.evaluate(ASK_FOR_TOKENS, f"http://127.0.0.1:{hub.ports['web']}") == ["refused", "refused"]


def test_a_name_that_was_rebound_to_this_machine_gets_nothing(context: BrowserContext, hub: Hub) -> None:
    page = context.new_page()
    origin = f"http://rebound.test:{hub.ports['web']}"
    answer = page.goto(f"{origin}/join/lobby")
    assert answer
    assert answer.status == 421
    assert page.evaluate(ASK_FOR_TOKENS, origin) == ["421", "421"]


def test_the_own_page_gets_one(context: BrowserContext, hub: Hub) -> None:
    """What the two tests above would see if the guard were not there."""
    page = context.new_page()
    origin = f"http://127.0.0.1:{hub.ports['web']}"
    page.goto(f"{origin}/")
    assert page.evaluate(ASK_FOR_TOKENS, origin) == ["200", "415"]


# Asks the hub for a token in the two forms that a page can send: with a JSON body, and with a body that needs no CORS
# preflight.
ASK_FOR_TOKENS = """
async origin => {
  const answers = [];
  for (const type of ['application/json', 'text/plain']) {
    const request = {method: 'POST', headers: {'content-type': type}, body: JSON.stringify({room: 'r'})};
    try { answers.push(String((await fetch(origin + '/api/livekit/token', request)).status)); }
    catch { answers.push('refused'); }
  }
  return answers;
}
"""
