"""Whether a path counts as proven by a client for which the hub's own packets had opened a firewall."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import dropping
from tests.namespaces.lan import CLIENT, HUB_SPEC, HUB_URL, PORTS, Lan, call_from, on_client
from tests.waiting import wait_until

# What a firewall drops that lets in answers alone, and the ways around UDP.
UNASKED = "iifname lan0 meta l4proto udp ct state new"
MEDIA_TCP = "iifname lan0 tcp dport 7881"


@pytest.fixture(params=["7882", "50000-50099"])
def hub(lan: Lan, request: pytest.FixtureRequest) -> Iterator[Hub]:
    """A hub for the LAN whose paths no client has used: one UDP socket for all calls, and separate sockets."""
    with make_hub(lan.hub.prefix, PORTS) as made:
        made.spec.write_text(HUB_SPEC.replace("media: {", f"media: {{udp: {request.param}, "))
        made.up()
        yield made


def uses_of_udp(hub: Hub) -> tuple[Any, Any]:
    """From where the path was used so that it proves the way in, and from where so that it does not."""
    [udp] = [path for path in hub.status()["verified"]["paths"] if path["path"] == "udp"]
    return tuple(udp[key] and udp[key]["address"] for key in ("outside", "outside_unproven"))


def test_a_client_that_media_sent_to_first_proves_no_path(lan: Lan, hub: Hub) -> None:
    assert uses_of_udp(hub) == (None, None)
    client = on_client(hub, lan.client)
    with dropping(lan.hub, UNASKED, MEDIA_TCP), call_from(client, "opened") as call:
        call.wait_connected("udp", "udp")
        wait_until(lambda: uses_of_udp(hub) != (None, None), "the call is seen")
        assert uses_of_udp(hub) == (None, CLIENT)
        assert re.search(rf"udp +ok .*; outside: not proven, used \d+ s ago from {CLIENT}\n", hub.run("status").stdout)
    # It tells where it is only after its own packets had the time to arrive.
    assert client.run("verify", "--url", HUB_URL, "--path", "udp").returncode == 0
    wait_until(lambda: uses_of_udp(hub) == (CLIENT, None), "the way in is proven")
