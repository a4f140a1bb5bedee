"""A page of a web site that the hub has built joins a call with the token that was built into it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.documents import ROOT
from tests.kit.browser import join, launching, profile
from tests.kit.hub import Hub, free_ports, make_hub
from tests.kit.links import links_of, root_of
from tests.kit.ports import free_port

CLIENT = ROOT / "web/node_modules/livekit-client/dist/livekit-client.esm.mjs"

INDEX = """<!doctype html>
<title>bmo</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/style-CdE4fGh1.css">
<h1>bmo</h1>
<p id="state">loading</p>
<ul id="heard"></ul>
<script type="module" src="/assets/index-CdE4fGh1.js"></script>
"""

SCRIPT = """
import { DisconnectReason, Room, RoomEvent } from '/assets/livekit-client.esm.mjs';
const show = text => document.getElementById('state').textContent = text;
const room = new Room();
room.on(RoomEvent.Disconnected, reason => show(`disconnected: ${DisconnectReason[reason]}`));
room.on(RoomEvent.TrackSubscribed, (track, _, participant) => {
  document.getElementById('heard').append(
    Object.assign(document.createElement('li'), { textContent: `${participant.identity} ${track.kind}` }));
  document.body.append(track.attach());
});
await room.connect('@URL', '@TOKEN');
await room.localParticipant.setMicrophoneEnabled(true);
show(`connected to ${room.name} as ${room.localParticipant.identity}`);
"""

# A bundler's part: what the source leaves open is filled in from the environment.
BUILD = """
set -eu
mkdir -p dist/assets
cp index.html dist/
cp client.mjs dist/assets/livekit-client.esm.mjs
echo 'body { font: 1.2rem sans-serif; background: #7fd4c1 }' > dist/assets/style-CdE4fGh1.css
sed -e "s|@URL|$VITE_LIVEKIT_URL|" -e "s|@TOKEN|$VITE_LIVEKIT_TOKEN|" main.js > dist/assets/index-CdE4fGh1.js
"""

SPEC = """
sites:
  - name: bmo
    root: frontend/dist
    port: {port}
    build: sh build.sh
    env:
      VITE_LIVEKIT_URL: {{url: livekit}}
      VITE_LIVEKIT_TOKEN: {{token: {{room: bmo-room, identity: bmo-user}}}}
"""


@dataclass(frozen=True)
class Served:
    """A hub with a site that it has built, at `url`."""

    hub: Hub
    url: str


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with make_hub(ports=free_ports()) as hub:
        folder = hub.folder / "frontend"
        folder.mkdir()
        for name, text in (("index.html", INDEX), ("main.js", SCRIPT), ("build.sh", BUILD)):
            (folder / name).write_text(text)
        shutil.copy(CLIENT, folder / "client.mjs")
        port = free_port()
        hub.write_spec(hub.tls_lines + SPEC.format(port=port))
        hub.up("--no-verify")
        yield Served(hub, f"https://127.0.0.1:{port}/")


@pytest.fixture(scope="module")
def browser(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that trusts the hub."""
    with launching(tmp_path_factory.mktemp("browser"), root=root_of(served.hub)) as launched:
        yield launched


def open_site(page: Page, url: str) -> list[str]:
    """Open the site. Returns what the browser complains of, as it comes."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    return said


def test_page_of_a_site_joins_and_hears_and_is_heard(served: Served, browser: Browser, tmp_path: Path) -> None:
    with profile(browser) as people, profile(browser) as visitors:
        ann = join(people, links_of(served.hub, "bmo-room")[0])
        page = visitors.new_page()
        said = open_site(page, served.url)
        expect(page.locator("#state")).to_have_text("connected to bmo-room as bmo-user")
        expect(page.locator("#heard")).to_contain_text("ann audio")
        ann.wait_receiving()
        assert said == [], "the site's policy lets it do all that"
        page.screenshot(path=tmp_path / "site.png")


def test_second_visitor_ends_the_call_of_the_first(served: Served, browser: Browser) -> None:
    """As the note about the site says (site-token-shared)."""
    with profile(browser) as first, profile(browser) as second:
        one, other = first.new_page(), second.new_page()
        open_site(one, served.url)
        expect(one.locator("#state")).to_contain_text("connected")
        open_site(other, served.url)
        expect(other.locator("#state")).to_contain_text("connected to bmo-room")
        expect(one.locator("#state")).to_have_text("disconnected: DUPLICATE_IDENTITY")
