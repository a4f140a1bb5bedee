"""A network without IPv4: every path carries media there too."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.browser import join_two, launching, profile
from tests.kit.hub import make_hub
from tests.kit.links import links_of, root_of
from tests.kit.netns import connect, dropping, namespace
from tests.namespaces.lan import NAME_SERVER, PORTS, Lan, call_from, on_client
from tests.namespaces.world import DOMAIN

PATHS = ("udp", "tcp", "turn-udp", "turn-tls")

# One from a block for local use, and a foreign public one, which is used only inside the namespace.
LOCAL, PUBLIC = "fd00:77::5", "2606:2800:220:1::5"
NEIGHBOURS = {LOCAL: "fd00:77::9", PUBLIC: "2606:2800:220:1::9"}


@contextmanager
def make_wire(address: str) -> Iterator[Lan]:
    """The hub's machine at an address, and a client's beside it."""
    with namespace("hub", NAME_SERVER) as hub, namespace("client", NAME_SERVER) as client:
        connect(hub, client, "eth0")
        for machine, own in ((hub, address), (client, NEIGHBOURS[address])):
            machine.add_address("eth0", f"{own}/64")
            machine.name_hosts({DOMAIN: address})
        yield Lan(hub, client)


@pytest.mark.parametrize(
    ("address", "spec", "url"),
    [
        pytest.param(LOCAL, "reach: lan\n", f"wss://[{LOCAL}]", id="lan"),
        pytest.param(
            PUBLIC,
            f"reach: public\ndomain: {DOMAIN}\ntls: {{mode: internal}}\n",
            f"wss://{DOMAIN}",
            id="public",
            marks=pytest.mark.field,
        ),
    ],
)
def test_every_path_carries_media_over_ipv6(address: str, spec: str, url: str, tmp_path: Path) -> None:
    with make_wire(address) as wire, make_hub(wire.hub.prefix, PORTS) as hub:
        hub.spec.write_text(spec)
        hub.up()
        client = on_client(hub, wire.client)
        assert client.environ["LIVEKIT_URL"] == url
        done = client.run("verify", "--url", url, "--json")
        paths = {path["path"]: path for path in json.loads(done.stdout)["paths"]}
        assert {name: path["ok"] for name, path in paths.items()} == dict.fromkeys(PATHS, True), done.stdout
        for name, path in paths.items():
            assert f"[{address}]" in path["remote"], (name, path)
        with call_from(client, "native") as call:
            call.wait_connected("udp", "udp")
            assert call.candidates() == {f"udp {address}:7882", f"tcp {address}:7881"}
        drops = ("iifname eth0 meta l4proto udp", "iifname eth0 tcp dport != 443")
        with (
            dropping(wire.hub, *drops),
            launching(tmp_path, wire.client.prefix, root_of(hub)) as browser,
            profile(browser) as context,
        ):
            for guest in join_two(context, *links_of(hub, "relayed")):
                guest.wait_connected("relay/tls")
