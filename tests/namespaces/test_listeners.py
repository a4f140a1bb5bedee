"""A hub listens only at the addresses of its reach, also during a call."""

from collections.abc import Iterator

import pytest

from tests.kit.call import Call
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.namespaces.lan import HUB, HUB_SPEC, PLAIN_SPEC, PORTS, Lan, call_from, make_lan, on_client, somebody_on
from tests.namespaces.world import DOMAIN, PUBLIC, SPEC
from tests.waiting import wait_until

Socket = tuple[str, str, int]
"""Protocol, local address and port."""

RELAY_PORTS = range(30000, 40000)


@pytest.fixture
def neighbour(machine: Namespace) -> Iterator[Namespace]:
    """A client on the same network as the machine."""
    with somebody_on(machine, "eth0", "192.168.50.2", "192.168.50.3") as made:
        yield made


@pytest.mark.usefixtures("neighbour")
def test_a_hub_for_this_machine_listens_on_loopback_alone(machine: Namespace, hub: Hub) -> None:
    hub.up("--no-verify")
    with call_from(on_client(hub, machine), "room") as call:
        sockets = relaying_sockets(machine, call)
    assert {address for _, address, _ in sockets} == {"127.0.0.1"}, sockets
    named = {("udp", 7882), ("udp", 3478), ("tcp", 7880), ("tcp", 8080)}
    assert named <= {(protocol, port) for protocol, _, port in sockets}


@pytest.fixture(scope="module")
def bridged(lan: Lan) -> Lan:
    """The LAN, with containers on the hub's machine."""
    lan.hub.add_bridge("docker0", "172.17.0.1/16")
    return lan


@pytest.mark.parametrize(
    ("spec", "outside", "inside"),
    [
        pytest.param(HUB_SPEC, {80, 443}, {80, 443, 7880, 8080}, id="tls-internal"),
        pytest.param(PLAIN_SPEC, {7880, 8080}, {7880, 8080}, id="tls-off"),
    ],
)
def test_a_hub_on_the_lan_listens_there_and_on_loopback_and_for_ice_tcp_everywhere(
    bridged: Lan, spec: str, outside: set[int], inside: set[int]
) -> None:
    lan = bridged
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.spec.write_text(spec)
        hub.up("--no-verify")
        with call_from(on_client(hub, lan.client), "room") as call:
            sockets = relaying_sockets(lan.hub, call)
    # LiveKit always binds ICE/TCP on every interface.
    assert {socket for socket in sockets if socket[1] not in (HUB, "127.0.0.1")} == {("tcp", "*", 7881)}
    assert {socket for socket in sockets if socket[0] == "udp" and socket[1] != HUB} == set()
    assert {("udp", HUB, 7882), ("udp", HUB, 3478)} <= sockets
    assert {port for protocol, address, port in sockets if (protocol, address) == ("tcp", HUB)} == outside
    # Media has one more, on a port that the system gives it.
    assert inside <= {port for protocol, address, port in sockets if (protocol, address) == ("tcp", "127.0.0.1")}


def relaying_sockets(machine: Namespace, call: Call) -> set[Socket]:
    """Where processes of the machine listen during a call through the relay; people's own sockets left out."""
    call.force_tls()
    found: set[Socket] = set()

    def relays() -> bool:
        found.clear()
        for line in machine.run("ss", "-lntupH").splitlines():
            protocol, _, _, _, local, _, *users = line.split(None, 6)
            address, _, port = local.rpartition(":")
            if f"pid={call.process.pid}," not in "".join(users):
                found.add((protocol, address, int(port)))
        return any(protocol == "udp" and port in RELAY_PORTS for protocol, _, port in found)

    # On a busy machine the listener is heard by its old path for a moment.
    wait_until(relays, "a socket of the relay")
    return found


def test_a_hub_that_runs_moves_from_the_lan_to_the_internet_and_back() -> None:
    """Its edge has a port at addresses first, and everywhere then."""
    specs = ("reach: lan\n", SPEC, "reach: lan\n")
    with make_lan(PUBLIC, "93.184.216.9", "eth0") as lan, make_hub(lan.hub.prefix, PORTS) as hub:
        lan.name_hosts({DOMAIN: PUBLIC})
        for spec in specs:
            hub.spec.write_text(spec)
            done = hub.run("up", "--detach")
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.count("verified ") == 4
