"""`lkhub init --single-port`: the whole hub is 443/tcp and 443/udp."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.browser import join_two, launching, profile
from tests.kit.hub import Hub, make_hub
from tests.kit.links import links_of, root_of
from tests.kit.netns import dropping
from tests.namespaces.lan import HUB, HUB_URL, PORTS, Lan, call_from, on_client

# Whatever arrives for another port than 443.
CLOSED = ("iifname lan0 udp dport != 443", "iifname lan0 tcp dport != 443")
UDP = "iifname lan0 meta l4proto udp"

EXPECTED = {"udp": True, "tcp": None, "turn-udp": None, "turn-tls": True}


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    """The hub as `init` writes it, behind a firewall with one port."""
    with make_hub(lan.hub.prefix, PORTS) as made, dropping(lan.hub, *CLOSED):
        done = made.run("init", "--reach", "lan", "--single-port", "--force")
        assert done.returncode == 0, done.stderr
        made.up()
        yield made


def test_it_listens_on_443_and_nowhere_else(lan: Lan, hub: Hub) -> None:
    rows = [line.split(None, 5) for line in lan.hub.run("ss", "-lntuH").splitlines()]
    ends = {(row[0], *row[4].rpartition(":")[::2]) for row in rows}
    assert {(protocol, port) for protocol, address, port in ends if address != "127.0.0.1"} == {
        ("udp", "443"),
        ("tcp", "443"),
    }, ends


def test_calls_take_443_over_udp_and_over_tcp_where_nothing_else_is_open(lan: Lan, hub: Hub, tmp_path: Path) -> None:
    client = on_client(hub, lan.client)
    done = client.run("verify", "--url", HUB_URL, "--json")
    assert {path["path"]: path["ok"] for path in json.loads(done.stdout)["paths"]} == EXPECTED, done.stdout
    with call_from(client, "native") as call:
        call.wait_connected("udp", "udp")
        assert call.candidates() == {f"udp {HUB}:443"}
    with launching(tmp_path, lan.client.prefix, root_of(hub)) as browser:
        with profile(browser) as context:
            for guest in join_two(context, *links_of(hub, "open")):
                guest.wait_connected("udp")
                assert guest.ends() == {f"udp {HUB}:443"}
        lan.hub.run("nft", "insert", "rule", "inet", "lkhub", "arriving", *UDP.split(), "counter", "drop")
        with profile(browser) as context:
            for guest in join_two(context, *links_of(hub, "tcp-alone")):
                guest.wait_connected("relay/tls")
