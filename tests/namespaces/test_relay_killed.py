"""What a relayed participant hears when the relaying process is killed with -9. Ten kills by hand: `KILLS=10`."""

import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.kit.browser import join_two_by, profile
from tests.kit.hub import Hub
from tests.kit.links import links_of
from tests.kit.netns import dropping
from tests.namespaces.lan import ONLY_443, Lan, hub_on
from tests.waiting import wait_until

KILLS = int(os.environ.get("KILLS", "1"))

# The same limit as for media, as in `tests/browser/test_edge.py`. Left to itself Chromium takes 16 s.
LONGEST_GAP_SECONDS = 2.0

NO_MEDIA = ("iifname lan0 udp dport 7882", "iifname lan0 tcp dport 7881")


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    with hub_on(lan) as made:
        yield made


@pytest.mark.timing
@pytest.mark.parametrize(
    ("process", "path", "closed"), [("relay", "relay/udp", NO_MEDIA), ("edge", "relay/tls", ONLY_443)]
)
def test_killed_relay_is_back_at_once(
    lan: Lan, hub: Hub, browser: Browser, process: str, path: str, closed: tuple[str, ...]
) -> None:
    gaps = []
    with dropping(lan.hub, *closed), profile(browser) as context:
        guests = join_two_by(context, path, *links_of(hub, process))
        for _ in range(KILLS):
            for guest in guests:
                guest.wait_receiving()
                guest.watch_gap()
            before = hub.pids()[process]
            os.kill(before, signal.SIGKILL)
            wait_until(lambda before=before: hub.pids()[process] not in (before, None), f"{process} is back")  # type: ignore[misc]
            for guest in guests:
                wait_until(lambda guest=guest: guest.longest_gap() > 0.1, "the sound stopped")  # type: ignore[misc]
                guest.wait_receiving()
                gaps.append(guest.longest_gap())
                # Where signalling is still being opened, livekit-client would take the next end for a failed attempt
                # and wait longer.
                wait_until(guest.is_signalling, "signalling is open again")
    print("gaps in s:", sorted(round(gap, 2) for gap in gaps))
    assert max(gaps) <= LONGEST_GAP_SECONDS
