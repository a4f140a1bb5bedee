"""Debian's Chromium on any machine of a test, with fake devices, and its statistics of a call."""

import contextlib
import os
import shlex
import subprocess
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from tests.kit.people import SAMPLE_RATE
from tests.waiting import DEADLINE_SECONDS, wait_until

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    # Half of the pictures that the fake camera makes by itself: software encodes them, three times over.
    "--use-fake-device-for-media-stream=fps=10",
    "--autoplay-policy=no-user-gesture-required",
    # A name that resolves to this machine although it belongs to a stranger (DNS rebinding).
    "--host-resolver-rules=MAP rebound.test 127.0.0.1",
    # Features with which Chromium would contact its maker's servers.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PAGE_MS = DEADLINE_SECONDS * 1000
expect.set_options(timeout=PAGE_MS)

# After this time a connection that carries packets keeps its path.
SETTLED_SECONDS = 10.0

# Runs in the page before its own code: it records every connection, to report how media travels and which connections
# are new.
_KEEP = """
  window.connections = [];
  window.sockets = [];
  const keep = (name, list) => {
    const Original = window[name];
    window[name] = class extends Original {
      constructor(...args) { super(...args); list.push(this); }
    };
  };
  keep('RTCPeerConnection', window.connections);
  keep('WebSocket', window.sockets);
  window.received = async () => {
    let total = 0;
    for (const connection of window.connections.filter(c => c.connectionState === 'connected'))
      for (const report of (await connection.getStats()).values())
        if (report.type === 'inbound-rtp') total += report.packetsReceived;
    return total;
  };
"""

_RECEIVES = """
async () => {
  const before = await window.received();
  await new Promise(done => setTimeout(done, 200));
  return await window.received() > before;
}
"""

# Measures the longest time, in ms, without a new packet. Both ends of a gap may be seen up to one interval late.
_WATCH_GAP = """
() => {
  window.longestGap = 0;
  let last = performance.now(), count = -1, busy = false;
  clearInterval(window.gapTimer);
  window.gapTimer = setInterval(async () => {
    if (busy) return;
    busy = true;
    const now = await window.received();
    busy = false;
    window.longestGap = Math.max(window.longestGap, performance.now() - last);
    if (now !== count) { count = now; last = performance.now(); }
  }, 20);
}
"""

# The selected pairs of all connections: how the page sends, and the server's end.
_ROUTES = """
async () => {
  const found = [];
  for (const connection of window.connections.filter(c => c.connectionState === 'connected')) {
    const stats = await connection.getStats();
    for (const transport of stats.values()) {
      const pair = transport.type === 'transport' && stats.get(transport.selectedCandidatePairId);
      if (!pair) continue;
      const local = stats.get(pair.localCandidateId), remote = stats.get(pair.remoteCandidateId);
      const path = local.candidateType === 'relay' ? `relay/${local.relayProtocol}` : local.protocol;
      found.push([path, `${remote.protocol} ${remote.address}:${remote.port}`]);
    }
  }
  return found;
}
"""

_CANDIDATES = """
async () => {
  const found = [];
  for (const connection of window.connections)
    for (const report of (await connection.getStats()).values())
      if (report.type === 'remote-candidate') found.push(`${report.protocol} ${report.address}:${report.port}`);
  return found;
}
"""


# The state of each connection, and what its media has carried.
_MEDIA = """
async () => {
  const found = [];
  for (const connection of window.connections ?? []) {
    found.push(`connection ${connection.connectionState}`);
    for (const it of (await connection.getStats()).values())
      if (/^(in|out)bound-rtp$/.test(it.type))
        found.push(`  ${it.type} ${it.kind} ${it.rid ?? ''} packets ${it.packetsReceived ?? it.packetsSent}`
          + ` frames ${it.framesDecoded ?? it.framesSent ?? '-'} ${it.qualityLimitationReason ?? ''}`);
  }
  return found;
}
"""


@dataclass(frozen=True)
class Guest:
    """A participant of a call, in a separate tab."""

    page: Page

    def receives(self) -> bool:
        """Whether packets of other participants arrive at present."""
        return bool(self.page.evaluate(_RECEIVES))

    def wait_receiving(self) -> None:
        wait_until(self.receives, "packets of other people arrive")

    def paths(self) -> set[str]:
        """How media travels: `udp`, `tcp`, or `relay/` and how the relay is reached: `udp`, `tcp` or `tls`."""
        return {path for path, _ in self.page.evaluate(_ROUTES)}

    def ends(self) -> set[str]:
        """The server's end of the connection as the page sees it, such as `udp 198.18.0.1:7882`."""
        return {end for _, end in self.page.evaluate(_ROUTES)}

    def candidates(self) -> set[str]:
        """All candidates that the server offered, in the form of `ends`."""
        return set(self.page.evaluate(_CANDIDATES))

    def wait_connected(self, path: str, seconds: float = DEADLINE_SECONDS) -> None:
        wait_until(lambda: self.paths() == {path}, f"connected by {path}", seconds)

    def opened(self) -> tuple[int, int]:
        """How many connections the page has opened so far: for media, and WebSockets. More than before is a
        reconnect."""
        return tuple(self.page.evaluate("() => [window.connections.length, window.sockets.length]"))

    def is_signalling(self) -> bool:
        """Whether the newest WebSocket is open."""
        return bool(self.page.evaluate("() => window.sockets.at(-1).readyState === WebSocket.OPEN"))

    def watch_gap(self) -> None:
        """Measure from now on."""
        self.page.evaluate(_WATCH_GAP)

    def longest_gap(self) -> float:
        """The longest time without a packet since `watch_gap`, in seconds."""
        return float(self.page.evaluate("() => window.longestGap")) / 1000


@contextmanager
def launching(folder: Path, prefix: Sequence[str] = (), root: Path | None = None) -> Iterator[Browser]:
    """Chromium with its files in `folder`. It trusts the authority `root` besides the usual ones. `prefix` goes in
    front of its command line, to run it in a network namespace."""
    if root is not None:
        _trust(folder, root)
    program = folder / "chromium"
    environ = ["env", f"HOME={folder}", f"XDG_CONFIG_HOME={folder}", f"XDG_CACHE_HOME={folder}"]
    program.write_text(f'#!/bin/sh\nexec {shlex.join([*prefix, *environ, CHROMIUM])} "$@"\n')
    program.chmod(0o700)
    arguments = [*ARGUMENTS, f"--use-file-for-fake-audio-capture={_make_sound(folder)}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@contextmanager
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """A separate profile, with camera and microphone allowed."""
    made = browser.new_context(permissions=["camera", "microphone"], viewport={"width": 1440, "height": 900})
    made.set_default_timeout(PAGE_MS)
    made.add_init_script(_KEEP)
    yield made
    made.close()


def join(context: BrowserContext, link: str, name: str = "", *, camera: bool = True) -> Guest:
    """Open a room and join as a person would, with a name if the link contains none."""
    return _arrive(_press_join(context, link, name, camera))


def _press_join(context: BrowserContext, link: str, name: str, camera: bool) -> Page:
    page = context.new_page()
    wait_until(lambda: _has_opened(page, link), "a network that does not change while a page is loaded")
    if name:
        page.get_by_test_id("name-input").fill(name)
    switch = page.get_by_test_id("preview-camera")
    if switch.get_attribute("aria-pressed") != str(camera).lower():
        switch.click()
    page.get_by_test_id("join").click()
    return page


def _arrive(page: Page) -> Guest:
    expect(page.get_by_test_id("call")).to_be_visible()
    return Guest(page)


def _has_opened(page: Page, link: str) -> bool:
    """Whether the page could be opened. Chromium aborts loading when an interface or an address appears or
    disappears."""
    try:
        page.goto(link)
    except Error as error:
        if "ERR_NETWORK_CHANGED" in error.message:
            return False
        raise
    return True


def describe(page: Page) -> str:
    """What the page shows and how its media travels, for the report of a failure."""
    try:
        text = page.locator("body").inner_text(timeout=5_000)
        return "\n".join([text, *page.evaluate(_MEDIA)])
    except Error as error:
        return f"the page can't be asked: {error.message}"


def join_two(context: BrowserContext, *links: str) -> tuple[Guest, Guest]:
    """Two participants in one room, a link for each, who hear each other; their cameras are off, which saves CPU."""
    # If most paths are blocked, each page takes seconds to find the one that works, so both join at the same time.
    pages = [_press_join(context, link, "", camera=False) for link in links]
    ann, bob = (_arrive(page) for page in pages)
    for guest in (ann, bob):
        guest.wait_receiving()
    return ann, bob


def join_two_by(context: BrowserContext, path: str, *links: str) -> tuple[Guest, Guest]:
    """`join_two`, with both connected by `path`. The server uses the path that answers first. On a loaded machine that
    may be the second-best path, and a connection keeps it: then those who have it join again, and nobody else, who
    might lose the best one by that.
    """
    guests = dict(zip(links, join_two(context, *links), strict=True))

    def list_others() -> list[str]:
        return [link for link, guest in guests.items() if guest.paths() != {path}]

    def look_and_join_again() -> bool:
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not list_others(), f"connected by {path}", SETTLED_SECONDS)
            return True
        others = list_others()
        for link in others:
            guests[link].page.close()
        # At the same time, as at first.
        pages = {link: _press_join(context, link, "", camera=False) for link in others}
        guests.update({link: _arrive(page) for link, page in pages.items()})
        for guest in guests.values():
            guest.wait_receiving()
        return False

    wait_until(look_and_join_again, f"two people connected by {path}")
    ann, bob = guests.values()
    return ann, bob


def _make_sound(folder: Path) -> Path:
    """Two seconds of sound that resembles speech, in a loop. Between Chromium's own beeps almost no packets are sent,
    and a constant tone is filtered out as noise.
    """
    path = folder / "sound.wav"
    times = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    pitch = 200 + 100 * np.floor(times * 5) * 7 % 900
    loudness = 0.6 + 0.4 * np.sin(2 * np.pi * 5 * times)
    samples = 16_000 * loudness * np.sin(2 * np.pi * pitch * times)
    with wave.open(os.fspath(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.astype(np.int16).tobytes())
    return path


def _trust(folder: Path, root: Path) -> None:
    """Chromium on Linux reads the user's NSS store, for pages and for TURN (measured)."""
    store = folder / ".pki" / "nssdb"
    if not store.exists():
        store.mkdir(parents=True)
        _certutil(store, "-N", "--empty-password")
    _certutil(store, "-A", "-t", "C,,", "-n", root.name, "-i", os.fspath(root))


def _certutil(store: Path, *arguments: str) -> None:
    done = subprocess.run(["certutil", "-d", f"sql:{store}", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"certutil (apt-get install libnss3-tools): {done.stderr}"
