"""A certificate is renewed and the edge's configuration changed while a whole call goes through the edge.

Long by hand: `CALL_SECONDS=180 scripts/test tests/namespaces/test_renewal.py -s`.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.kit.browser import Guest, join_two, profile
from tests.kit.hub import Hub
from tests.kit.links import links_of, root_of
from tests.kit.netns import dropping
from tests.namespaces.lan import HUB, HUB_SPEC, ONLY_443, Lan, hub_on
from tests.namespaces.test_taken import holding
from tests.waiting import wait_until

# The contract's limit. A machine that is busy with other things makes gaps of its own, so that it is measured first how
# long they are.
LONGEST_GAP_SECONDS = 0.2
QUIET_SECONDS = 4

CALL_SECONDS = float(os.environ.get("CALL_SECONDS", "0"))

# Caddy renews when a third of the lifetime is left, and looks this often: a renewal about every four seconds.
LIFETIME, LOOK = "6s", "500ms"
RENEWALS = 2


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    with hub_on(lan) as made, dropping(lan.hub, *ONLY_443):
        yield made


@contextmanager
def undisturbed_call(hub: Hub, browser: Browser, room: str) -> Iterator[tuple[Guest, Guest]]:
    """Two participants of a call, which the block must not interrupt."""
    with profile(browser) as context:
        guests = join_two(context, *links_of(hub, room))
        for guest in guests:
            guest.wait_connected("relay/tls")
        before = [guest.opened() for guest in guests]
        for guest in guests:
            guest.watch_gap()
        guests[0].page.wait_for_timeout(QUIET_SECONDS * 1000)
        own = max(guest.longest_gap() for guest in guests)
        for guest in guests:
            guest.watch_gap()
        yield guests
        gaps = [guest.longest_gap() for guest in guests]
        print(f"{room}: longest gaps {', '.join(f'{gap * 1000:.0f}' for gap in gaps)} ms, before {own * 1000:.0f} ms")
        assert [guest.opened() for guest in guests] == before, "somebody reconnected"
        assert all(guest.receives() for guest in guests)
        assert max(gaps) <= max(LONGEST_GAP_SECONDS, 2 * own)


def ask_edge(hub: Hub, method: str, path: str) -> dict[str, Any]:
    transport = httpx.HTTPTransport(uds=str(hub.state / "run" / "edge.sock"))
    with httpx.Client(transport=transport, timeout=30) as client:
        answer = client.request(method, f"http://control{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]


def give_certificates_that_live_for_seconds(hub: Hub) -> None:
    """What hub.yaml has no words for. Caddy asks how often to look when it starts, and never again."""
    path = hub.state / "rendered" / "caddy.json"
    config = json.loads(path.read_text())
    automation = config["apps"]["tls"]["automation"]
    automation["renew_interval"] = LOOK
    automation["policies"][0]["issuers"][0]["lifetime"] = LIFETIME

    def restart_with_it() -> bool:
        # The supervisor writes its own file again every few seconds, so the edge may find that one when it starts.
        # Between the writing and the kill is nothing slow: a command of lkhub would give the supervisor the time.
        before = hub.pids()["edge"]
        path.write_text(json.dumps(config))
        shutil.rmtree(hub.state / "caddy" / "certificates", ignore_errors=True)
        os.kill(before, signal.SIGKILL)
        ends = wait_until(lambda: expiry_of_a_new_edge(hub, before), "the edge is back, with a certificate")
        return datetime.fromisoformat(ends) - datetime.now(UTC) < timedelta(minutes=1)

    wait_until(restart_with_it, "an edge whose certificates live for seconds")


def expiry_of_a_new_edge(hub: Hub, before: int) -> str:
    """As `expiry`; "" while the edge is the process `before`, or none answers."""
    if Path(f"/proc/{before}").exists():
        return ""
    try:
        return expiry(hub)
    except httpx.TransportError:
        return ""


def expiry(hub: Hub) -> str:
    """When the certificate of the hub's address ends."""
    found = [c["not_after"] for c in ask_edge(hub, "GET", "/status")["certificates"] if c["names"] == [HUB]]
    return found[0] if found else ""


def served(lan: Lan, hub: Hub) -> str:
    """The end of the certificate that a client meets."""
    said = lan.client.run(
        "curl", "-sS", "-v", "--cacert", str(root_of(hub)), f"https://{HUB}/api/health", "--stderr", "-"
    )
    return next(line.split(": ", 1)[1] for line in said.splitlines() if "expire date: " in line)


@pytest.mark.timing
def test_the_certificate_is_renewed_during_a_call(lan: Lan, hub: Hub, browser: Browser) -> None:
    give_certificates_that_live_for_seconds(hub)
    with undisturbed_call(hub, browser, "renewed"):
        began = time.monotonic()
        first, seen = served(lan, hub), {expiry(hub)}
        while len(seen) <= RENEWALS or time.monotonic() - began < CALL_SECONDS:
            wait_until(lambda: {expiry(hub)} - seen - {""}, "the next certificate")
            seen.add(expiry(hub))
        assert served(lan, hub) != first
        print(f"{len(seen) - 1} renewals in {time.monotonic() - began:.0f} s")


@pytest.mark.timing
def test_a_changed_configuration_is_taken_over_during_a_call(lan: Lan, hub: Hub, browser: Browser) -> None:
    pids = hub.pids()
    with undisturbed_call(hub, browser, "changed"):
        hub.spec.write_text(f"{HUB_SPEC}tls: {{http: 8081}}\n")
        done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 0, done.stderr
        assert "edge took its change over without a restart" in done.stderr
        listening = lan.hub.run("ss", "-Hltn")
        assert (f"{HUB}:8081 " in listening, f"{HUB}:80 " in listening) == (True, False), listening

        with holding(lan.hub, f"tcp {HUB} 8082"):
            hub.spec.write_text(f"{HUB_SPEC}tls: {{http: 8082}}\n")
            done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 3, done.stderr
        assert "tcp port 8082 (to HTTPS) is in use by" in done.stderr
        assert "the change was not made, and nothing was interrupted" in done.stderr
        assert f"{HUB}:8081 " in lan.hub.run("ss", "-Hltn")
    after = hub.pids()
    assert {name: after[name] for name in ("media", "relay", "edge")} == {
        name: pids[name] for name in ("media", "relay", "edge")
    }
