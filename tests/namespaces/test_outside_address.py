"""A hub behind a router finds its public address, and follows a change: by its name, and by a STUN server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.namespaces.lan import PORTS, on_client
from tests.namespaces.world import DOMAIN, HUB_HOME, NEXT_PUBLIC, PUBLIC, SPEC, STRANGER, World, hub_behind_nat
from tests.waiting import wait_until

# Says what address a request comes from (RFC 8489, XOR-MAPPED-ADDRESS).
_STUN = """
import socket, struct
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("", 3478))
print("ready", flush=True)
while True:
    asked, (host, port) = server.recvfrom(1500)
    cookie, transaction = asked[4:8], asked[8:20]
    hidden = bytes(a ^ b for a, b in zip(struct.pack(">H", port) + socket.inet_aton(host), cookie[:2] + cookie))
    attribute = struct.pack(">HHBB", 0x0020, 8, 0, 1) + hidden
    server.sendto(struct.pack(">HH", 0x0101, len(attribute)) + cookie + transaction + attribute, (host, port))
"""


@contextmanager
def answering_stun(machine: Namespace) -> Iterator[None]:
    argv = [*machine.prefix, sys.executable, "-c", _STUN]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()


def nudge(machine: Namespace) -> None:
    """Make the hub check at once: it asks other servers once a minute, and whenever an interface changes."""
    machine.add_bridge("docker0", "172.17.0.1/16")


def wait_followed(hub: Hub, before: str, after: str) -> None:
    said = f"the hub followed its address from {before} to {after}"
    wait_until(lambda: said in hub.log("hub"), said)


def assert_reached(world: World, hub: Hub, address: str) -> None:
    """Every path carries media, at this address."""
    world.client.name_hosts({DOMAIN: address})
    done = on_client(hub, world.client).run("verify", "--url", f"wss://{DOMAIN}", "--json")
    paths = {path["path"]: path for path in json.loads(done.stdout)["paths"]}
    assert all(path["ok"] for path in paths.values()), done.stdout
    # Over UDP media's own packets may be there first, and the router lets them out by its usual address.
    assert paths["tcp"]["remote"] == f"tcp host {address}:7881"
    assert paths["turn-udp"]["relay"] == f"turn:{address}:3478?transport=udp"


def test_a_name_that_leads_to_another_address_is_followed() -> None:
    with hub_behind_nat(hairpin=False) as world, make_hub(world.hub.prefix, PORTS) as hub:
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach", "--no-verify")
        why = f"what {DOMAIN} resolves to, assuming that the router in front leads it to {HUB_HOME}"
        assert f"note: clients are told {PUBLIC}, {why}\n" in done.stderr
        world.hub.name_hosts({DOMAIN: NEXT_PUBLIC})
        nudge(world.hub)
        wait_followed(hub, PUBLIC, NEXT_PUBLIC)
        assert_reached(world, hub, NEXT_PUBLIC)
        assert hub.findings() == []


def test_stun_address_is_reported_as_soon_as_the_server_answers() -> None:
    with hub_behind_nat(hairpin=False) as world, make_hub(world.hub.prefix, PORTS) as hub:
        hub.spec.write_text(f"{SPEC}media: {{advertise: {{stun: '{STRANGER}:3478'}}}}\n")
        done = hub.run("up", "--detach", "--no-verify")
        assert done.returncode == 0, done.stderr
        assert f"note: {STRANGER}:3478 did not say this hub's address (" in done.stderr
        assert f"clients are told {HUB_HOME} until it does" in done.stderr
        with answering_stun(world.client):
            nudge(world.hub)
            wait_followed(hub, HUB_HOME, PUBLIC)
            assert_reached(world, hub, PUBLIC)
