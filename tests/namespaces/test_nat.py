"""Hubs and clients behind routers that translate addresses: media flows, and each path alone."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.browser import join_two, launching, profile
from tests.kit.hub import Hub, make_hub
from tests.kit.links import links_of, root_of
from tests.kit.netns import Namespace, dropping
from tests.namespaces.lan import PORTS, call_from, on_client
from tests.namespaces.world import (
    CLIENT_HOME,
    DOMAIN,
    HUB_HOME,
    MASQUERADE,
    PUBLIC,
    SPEC,
    SYMMETRIC,
    TO_HUB,
    World,
    hub_behind_nat,
    make_world,
    neighbour_of,
)
from tests.waiting import DEADLINE_SECONDS

URL = f"wss://{DOMAIN}"
CANDIDATES = {f"udp {PUBLIC}:7882", f"tcp {PUBLIC}:7881"}
ENDS = {
    "udp": ("remote", f"udp host {PUBLIC}:7882"),
    "tcp": ("remote", f"tcp host {PUBLIC}:7881"),
    "turn-udp": ("relay", f"turn:{PUBLIC}:3478?transport=udp"),
    "turn-tls": ("relay", f"turns:{DOMAIN}:443?transport=tcp"),
}

# Which ports packets of one socket to two places come from.
_LISTEN = """
import socket
ends = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
for port, end in enumerate(ends, 9000):
    end.bind(("", port))
print("ready", flush=True)
print(*(end.recvfrom(9)[1][1] for end in ends))
"""
_SEND = """
import socket, sys
end = socket.socket(type=socket.SOCK_DGRAM)
for port in 9000, 9001:
    end.sendto(b"?", (sys.argv[1], port))
"""


def ports_seen(world: World) -> set[int]:
    with _python(world.hub, _LISTEN) as listener:
        assert listener.stdout
        assert listener.stdout.readline() == "ready\n"
        world.client.run(sys.executable, "-c", _SEND, PUBLIC)
        return {int(port) for port in listener.stdout.readline().split()}


@contextmanager
def _python(machine: Namespace, program: str) -> Iterator[subprocess.Popen[str]]:
    argv = [*machine.prefix, sys.executable, "-c", program]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def up(world: World, more: str = "") -> Iterator[Hub]:
    """A public hub that has proved itself to itself; `more` are further lines of its spec."""
    with make_hub(world.hub.prefix, PORTS) as hub:
        hub.spec.write_text(SPEC + more)
        hub.up()
        yield hub


def verify(client: Hub, *more: str) -> dict[str, dict[str, Any]]:
    done = client.run("verify", "--url", URL, "--json", *more)
    return {path["path"]: path for path in json.loads(done.stdout)["paths"]}


def assert_every_path_carries_media(client: Hub) -> dict[str, dict[str, Any]]:
    """What `verify` says of them, too."""
    found = verify(client)
    assert {name: path["ok"] for name, path in found.items()} == dict.fromkeys(ENDS, True), found
    assert not any("not told" in path["detail"] for path in found.values()), found
    # A room for each machine: LiveKit remembers by room and identity that a participant was forced to TLS.
    with call_from(client, client.prefix[-1]) as call:
        call.wait_connected("udp", "udp")
        assert call.candidates() <= CANDIDATES
        call.force_tls()
        call.wait_connected("udp", "relay")
    return found


def assert_reached_at_the_public_address(client: Hub) -> None:
    found = assert_every_path_carries_media(client)
    # A packet of media's own may be there before its candidate is, and makes the same end a peer-reflexive one.
    assert {name: (end, found[name][end].replace(" prflx ", " host ")) for name, (end, _) in ENDS.items()} == ENDS


@pytest.mark.parametrize(
    ("rule", "ports"), [(MASQUERADE, 1), (SYMMETRIC, 2)], ids=["behind a home router", "behind a symmetric NAT"]
)
def test_a_client_behind_a_nat_has_every_path(rule: str, ports: int) -> None:
    with make_world(PUBLIC, CLIENT_HOME, TO_HUB, after=rule) as world:
        assert len(ports_seen(world)) == ports, "the router does not do what the test is about"
        with up(world) as hub:
            assert_reached_at_the_public_address(on_client(hub, world.client))


def test_a_hub_behind_a_nat_is_reached_from_outside_and_proves_itself_without_hairpin(tmp_path: Path) -> None:
    with hub_behind_nat(hairpin=False) as world, up(world) as hub:
        assert {path["path"]: path["ok"] for path in hub.status()["verified"]["paths"]} == dict.fromkeys(ENDS, True)
        # The public address does not work from inside, so the hub does not use it for its own calls. It takes verify
        # some seconds to say so; others call meanwhile.
        with on_client(hub, world.hub).start("verify", "--url", URL, "--json") as verifying:
            assert_reached_at_the_public_address(on_client(hub, world.client))
            stdout, _ = verifying.communicate(timeout=DEADLINE_SECONDS)
        inside = json.loads(stdout)["paths"]
        assert {(path["ok"], path["stage"]) for path in inside} == {(False, "tcp")}, stdout
        assert len(inside) == len(ENDS)

        drops = ("iifname eth0 meta l4proto udp", "iifname eth0 tcp dport != 443")
        with (
            dropping(world.hub, *drops),
            launching(tmp_path, world.client.prefix, root_of(hub)) as browser,
            profile(browser) as context,
        ):
            assert verify(on_client(hub, world.client), "--path", "turn-tls")["turn-tls"]["ok"] is True
            for guest in join_two(context, *links_of(hub, "relayed")):
                guest.wait_connected("relay/tls")
                # The relayed packets went to the address that clients are told, not to the one behind the router.
                assert guest.ends() == {f"udp {PUBLIC}:7882"}
                assert not any(HUB_HOME in candidate for candidate in guest.candidates())


def test_a_hub_behind_a_nat_with_hairpin_is_reached_from_inside_too() -> None:
    named = f"media: {{advertise: {PUBLIC}}}\n"
    with hub_behind_nat(hairpin=True) as world, up(world, named) as hub, neighbour_of(world) as neighbour:
        assert_reached_at_the_public_address(on_client(hub, world.client))
        assert_every_path_carries_media(on_client(hub, neighbour))
