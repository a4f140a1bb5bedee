"""`reach: lan` finds the address that devices on the LAN can use, and tells them no other."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.kit.hub import Hub
from tests.kit.netns import Namespace, connect, tunnel
from tests.namespaces.lan import call_from, on_client, somebody_on
from tests.namespaces.overhear import overhear
from tests.waiting import wait_until

LAN, NEIGHBOUR = "192.168.50.2", "192.168.50.1"
OTHER_LAN, FAR_NEIGHBOUR = "10.9.0.2", "10.9.0.3"

VPN = "a VPN, which other devices here are not in"
BRIDGE = "a bridge for containers or virtual machines"
USABLE = "set media.advertise to use it"

# Every other address of the machine, with its note.
OTHERS = {
    "192.168.50.77 on eth0": USABLE,
    "fd00:50::2 on eth0": USABLE,
    "172.17.0.1 on docker0": BRIDGE,
    "192.168.122.1 on virbr0": BRIDGE,
    "172.18.0.1 on services": "a bridge without a network card",
    "10.88.0.1 on veth1a2b3c": "a container's interface",
    "100.101.102.103 on tailscale0": VPN,
    "10.6.0.2 on wg0": VPN,
    "10.8.0.2 on office": VPN,
}

IPV4 = re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b")


def find_addresses(signalling: str) -> set[str]:
    """TURN servers, and candidates (RFC 8839, section 5.1) by themselves or in a description."""
    candidates = re.findall(r"candidate:\S+ [12] (\S+) [0-9]+ (\S+) ([0-9]+) typ ", signalling)
    turn = re.findall(r"turns?:[0-9.]+:[0-9]+", signalling)
    return {*turn, *(f"{protocol} {address}:{port}" for protocol, address, port in candidates)}


@pytest.fixture
def far(machine: Namespace) -> Iterator[Namespace]:
    """A client on the machine's other LAN."""
    with somebody_on(machine, "eth1", OTHER_LAN, FAR_NEIGHBOUR) as made:
        yield made


# eth1 comes first: what is taken must not depend on the order in which the kernel lists interfaces.
@pytest.fixture
def neighbour(machine: Namespace, far: Namespace) -> Iterator[Namespace]:
    """A client on the machine's LAN; there is no default route yet."""
    with somebody_on(machine, "eth0", LAN, NEIGHBOUR) as made:
        yield made


@pytest.fixture
def crowd(machine: Namespace, neighbour: Namespace) -> Iterator[None]:
    """Interfaces as a developer's machine has them, besides its LAN."""
    for interface, address in (
        ("docker0", "172.17.0.1/16"),
        ("virbr0", "192.168.122.1/24"),
        ("services", "172.18.0.1/16"),
    ):
        machine.add_bridge(interface, address)
    # Recognised by name; an interface with another name is recognised by its type in the kernel.
    for interface, address in (
        ("veth1a2b3c", "10.88.0.1/24"),
        ("tailscale0", "100.101.102.103/32"),
        ("wg0", "10.6.0.2/24"),
    ):
        connect(machine, neighbour, interface)
        machine.add_address(interface, address)
    machine.add_address("eth0", "192.168.50.77/24")
    machine.add_address("eth0", "fd00:50::2/64")
    with tunnel(machine, "office", "10.8.0.2/24"):
        yield


@pytest.mark.usefixtures("crowd")
def test_clients_are_told_the_addresses_of_both_lans_and_no_other(
    machine: Namespace, neighbour: Namespace, far: Namespace, hub: Hub
) -> None:
    machine.add_default_route(NEIGHBOUR)
    hub.spec.write_text("reach: lan\n")
    done = hub.run("up", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"note: clients are told {LAN}, on eth0, which carries the default route\n" in done.stderr
    assert f"note: clients are also told {OTHER_LAN}, on eth1, another network\n" in done.stderr
    for other, reason in OTHERS.items():
        assert f"note: not {other}: {reason}\n" in done.stderr
    assert f"wss://{LAN}" in done.stdout
    assert "outside: not seen" in done.stdout

    for file in ("livekit.yaml", "relay.json", "serve.json", "caddy.json"):
        named = set(IPV4.findall((hub.state / "rendered" / file).read_text()))
        assert named <= {LAN, OTHER_LAN, "127.0.0.1", "127.0.0.0"}, file

    for person, address in ((neighbour, LAN), (far, OTHER_LAN)):
        client = on_client(hub, person)
        client.environ["LIVEKIT_URL"] = f"wss://{address}"
        check_told(machine, client, address)


def check_told(machine: Namespace, client: Hub, address: str) -> None:
    """Calls from the client's LAN know of one address, the one in that LAN, and each path to it works."""
    done = client.run("verify", "--url", f"wss://{address}", "--json")
    paths = json.loads(done.stdout)["paths"]
    assert [path["path"] for path in paths] == ["udp", "tcp", "turn-udp", "turn-tls"]
    for path in paths:
        assert path["ok"], path
        assert set(IPV4.findall(f"{path['relay']} {path['remote']}")) == {address}, path
    candidates = {f"udp {address}:7882", f"tcp {address}:7881"}
    told = {f"turn:{address}:3478", f"turns:{address}:443", *candidates}
    with overhear(machine, "tcp src port 7880") as said, call_from(client, address) as call:
        call.wait_connected("udp", "udp")
        assert call.candidates() == candidates
        wait_until(lambda: find_addresses(said()) >= told, "what the two are told is heard")
        assert find_addresses(said()) == told


@pytest.mark.usefixtures("neighbour")
def test_the_output_says_what_browsers_on_other_devices_refuse(hub: Hub) -> None:
    hub.spec.write_text("reach: lan\ntls: {mode: off}\n")
    done = hub.run("up", "--detach", "--no-verify")
    assert "warning: no TLS: browsers on other devices refuse camera and microphone" in done.stderr


@pytest.mark.usefixtures("neighbour")
def test_of_several_lans_without_a_default_route_all_are_told(hub: Hub) -> None:
    hub.spec.write_text("reach: lan\n")
    done = hub.run("up", "--detach", "--no-verify")
    assert done.returncode == 0, done.stderr
    assert f"told {OTHER_LAN}, on eth1, the first of 2 LAN addresses (there is no default route)" in done.stderr
    assert f"clients are also told {LAN}, on eth0, another network" in done.stderr


@pytest.mark.usefixtures("crowd")
def test_the_lan_with_a_gateway_is_taken_while_a_vpn_has_the_first_default_route(machine: Namespace, hub: Hub) -> None:
    machine.run("ip", "route", "add", "default", "dev", "office")
    machine.add_default_route(NEIGHBOUR, metric=100)
    hub.spec.write_text("reach: lan\n")
    done = hub.run("up", "--detach", "--no-verify")
    assert done.returncode == 0, done.stderr
    assert f"clients are told {LAN}, on eth0" in done.stderr
    assert "there is no default route" not in done.stderr


def test_a_hub_follows_its_machine_to_a_new_address(machine: Namespace, neighbour: Namespace, hub: Hub) -> None:
    machine.add_default_route(NEIGHBOUR)
    hub.spec.write_text("reach: lan\n")
    hub.up("--no-verify")
    machine.run("ip", "address", "delete", f"{LAN}/24", "dev", "eth0")
    machine.add_address("eth0", "192.168.50.9/24")
    machine.add_default_route(NEIGHBOUR)
    hub.up()
    client = on_client(hub, neighbour)
    assert client.environ["LIVEKIT_URL"] == "wss://192.168.50.9"
    done = client.run("verify", "--url", client.environ["LIVEKIT_URL"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_machine_without_a_lan_is_told_why(machine: Namespace, hub: Hub) -> None:
    machine.add_bridge("docker0", "172.17.0.1/16")
    hub.spec.write_text("name: hub\nreach: lan\n")
    with tunnel(machine, "office", "10.8.0.2/24"):
        done = hub.run("up", "--detach")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hub.yaml:2: reach: no LAN address on this machine: " in done.stderr
    assert f"172.17.0.1 on docker0 ({BRIDGE})" in done.stderr
    assert f"10.8.0.2 on office ({VPN})" in done.stderr
    assert "hint: connect it to a network; or name the interface in media.interfaces, or the address" in done.stderr
    assert "nothing was changed" in done.stderr
    assert hub.status()["hub"]["state"] == "stopped"
