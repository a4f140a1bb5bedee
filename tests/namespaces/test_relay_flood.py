"""A client that joins to use up the relay takes nothing from others: real joins, a real relay, and a call through
it."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.secret import Secret
from tests.kit.flood import USUAL, flooding
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import dropping
from tests.namespaces.lan import CLIENT, HUB, PLAIN_SPEC, PORTS, Lan, call_from, on_client
from tests.waiting import wait_until

pytestmark = pytest.mark.field

SIZE, QUOTA = 400, 12
FLOOD, OTHERS = "198.18.0.66", "198.18.0.67"
NO_MEDIA = ("iifname lan0 udp dport 7882", "iifname lan0 tcp dport 7881")

# The relay asks media every second, and this machine may be busy.
LONGEST_GAP_SECONDS = 2.0


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    for address in (FLOOD, OTHERS):
        lan.client.add_address("lan0", f"{address}/24")
    with make_hub(lan.hub.prefix, PORTS) as made:
        made.spec.write_text(f"{PLAIN_SPEC}turn: {{relay: 30000-{30000 + SIZE - 1}}}\n")
        made.up("--no-verify")
        yield made


def tokens(hub: Hub, room: str, *identities: str) -> list[str]:
    env = hub.env()
    key, secret = env["LIVEKIT_API_KEY"], Secret(env["LIVEKIT_API_SECRET"])
    return [sign(Grant(identity, join_grant(room)), key, secret) for identity in identities]


def ports(hub: Hub) -> dict[str, Any]:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(hub.state / "run/relay.sock"))) as client:
        return dict(client.get("http://control/status").json()["ports"])


def findings(hub: Hub) -> dict[str, dict[str, Any]]:
    found = json.loads(hub.run("status", "--json").stdout)["findings"]
    return {finding["code"]: finding for finding in found if finding["code"].startswith("relay-")}


def flood_with(lan: Lan, hub: Hub, joins: list[str]) -> Any:
    others = tokens(hub, "elsewhere", *(f"guest-{number}" for number in range(5)))
    return flooding(
        lan.client.prefix,
        url=f"ws://{HUB}:7880",
        server=(HUB, PORTS["turn"]),
        tokens=joins,
        each=2 * QUOTA,
        others=others,
        address=FLOOD,
        other_address=OTHERS,
    )


def test_one_join_link_takes_no_more_than_one_person(lan: Lan, hub: Hub) -> None:
    with dropping(lan.hub, *NO_MEDIA), call_from(on_client(hub, lan.client), "room") as call:
        call.wait_connected("relay", "relay")
        before = ports(hub)["held"]
        call.watch()
        with flood_with(lan, hub, tokens(hub, "lobby", "flood") * 60) as answers:
            assert answers["others"] == {"0": 5 * USUAL}
            assert answers["codes"]["0"] >= 60 * QUOTA // 2, "each join was given some"
            wait_until(lambda: ports(hub)["held"] <= before + 5 * USUAL + QUOTA, "what earlier joins took is back", 10)
        wait_until(lambda: ports(hub)["held"] <= before, "everything is back", 10)
        gap, reconnects = call.disturbance()
    assert (gap < LONGEST_GAP_SECONDS, reconnects) == (True, 0), gap
    assert "relay-nearly-full" not in findings(hub)


def test_one_address_with_many_people_leaves_some_for_others(lan: Lan, hub: Hub) -> None:
    crowd = tokens(hub, "crowd", *(f"one-{number}" for number in range(30)))
    with flood_with(lan, hub, crowd) as answers:
        assert answers["others"] == {"0": 5 * USUAL}
        held = ports(hub)
        assert held["most"] == {"address": FLOOD, "held": SIZE // 2}
        assert answers["codes"] == {"0": SIZE // 2, "486": 30 * 2 * QUOTA - SIZE // 2}
        finding = findings(hub)["relay-address-full"]
        assert (finding["subject"], FLOOD in finding["title"], CLIENT in finding["title"]) == ("turn-udp", True, False)
    wait_until(lambda: ports(hub)["held"] == 0, "everything is back", 10)


@pytest.mark.soak
def test_what_a_killed_media_process_leaves_behind_ends_and_the_call_goes_on(lan: Lan, hub: Hub) -> None:
    with dropping(lan.hub, *NO_MEDIA), call_from(on_client(hub, lan.client), "room") as call:
        call.wait_connected("relay", "relay")
        # An allocation that is never released: its client is gone, and so is the media process that knew the
        # participant.
        with flood_with(lan, hub, tokens(hub, "lobby", *(f"lost-{number}" for number in range(5)))):
            os.kill(hub.pids()["media"], signal.SIGKILL)
            call.wait_connected("relay", "relay")
            call.watch()
            left = ports(hub)["held"]
            wait_until(lambda: ports(hub)["held"] <= left - 5 * QUOTA, "the end of what nobody holds")
        gap, reconnects = call.disturbance()
    assert (gap < LONGEST_GAP_SECONDS, reconnects) == (True, 0), gap
