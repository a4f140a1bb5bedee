"""Chromium in calls through the hub's edge, and what it notices when the edge or a process behind it is killed.

Ten kills by hand: `KILLS=10 scripts/test tests/browser/test_edge.py -s`.
"""

import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.kit.browser import Guest, join, join_two, launching, profile
from tests.kit.hub import Hub, free_ports, make_hub
from tests.kit.links import links_of, root_of
from tests.waiting import wait_until

KILLS = int(os.environ.get("KILLS", "2"))

# The contract's limit through the edge, for each kill of media.
LONGEST_GAP_SECONDS = 2.0

# Media that does not go through the edge goes on; the page is busy with reconnecting its signalling.
UNDISTURBED_SECONDS = 0.5


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub for this machine with TLS and an edge, on its own ports."""
    with make_hub(ports=free_ports()) as made:
        made.write_spec(made.tls_lines)
        made.up("--no-verify")
        yield made


@pytest.fixture(scope="module")
def context(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A profile of a browser that trusts the hub."""
    with launching(tmp_path_factory.mktemp("browser"), root=root_of(hub)) as browser, profile(browser) as made:
        yield made


@pytest.fixture
def call(context: BrowserContext, hub: Hub, request: pytest.FixtureRequest) -> Iterator[tuple[Guest, Guest]]:
    guests = join_two(context, *links_of(hub, request.node.name))
    yield guests
    for guest in guests:
        guest.page.close()


def kill(hub: Hub, name: str) -> None:
    before = hub.pids()[name]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: hub.pids()[name] not in (before, None), f"{name} is back")


@pytest.mark.timing
def test_killed_media_comes_back_through_the_edge(hub: Hub, call: tuple[Guest, Guest]) -> None:
    gaps = []
    for _ in range(KILLS):
        for guest in call:
            guest.wait_receiving()
            guest.watch_gap()
        kill(hub, "media")
        for guest in call:
            wait_until(lambda guest=guest: guest.longest_gap() > 0.1, "the sound stopped")  # type: ignore[misc]
            guest.wait_receiving()
            gaps.append(guest.longest_gap())
    print("gaps in s:", sorted(round(gap, 2) for gap in gaps))
    assert max(gaps) <= LONGEST_GAP_SECONDS


@pytest.mark.timing
def test_a_killed_edge_interrupts_no_sound_and_comes_back(
    hub: Hub, context: BrowserContext, call: tuple[Guest, Guest]
) -> None:
    for guest in call:
        guest.wait_connected("udp")
        guest.watch_gap()
    before = [guest.opened() for guest in call]
    kill(hub, "edge")
    for guest, (_, sockets) in zip(call, before, strict=True):
        wait_until(lambda guest=guest, sockets=sockets: guest.opened()[1] > sockets, "signalling is opened again")  # type: ignore[misc]
        wait_until(lambda guest=guest: guest.is_signalling(), "signalling is open again")  # type: ignore[misc]
    gaps = [guest.longest_gap() for guest in call]
    print("gaps in s:", [round(gap, 2) for gap in gaps])
    assert [connections for connections, _ in before] == [guest.opened()[0] for guest in call], "media was set up anew"
    assert max(gaps) <= UNDISTURBED_SECONDS
    assert all(guest.receives() for guest in call)
    # New clients can join.
    other, _ = links_of(hub, "after")
    third = join(context, other, camera=False)
    third.page.close()
