"""`lkhub firewall apply --router` with a real miniupnpd: the router forwards the ports to the hub, and packets from
its external side arrive."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lkhub.host.engine import bundled_engine
from lkhub.host.router import LEASE_SECONDS
from lkhub.supervise.timings import USUAL
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.namespaces.home_network import EXTERNAL, HUB, ROUTER, HomeNetwork, make_home_network
from tests.namespaces.lan import PORTS
from tests.namespaces.reach import Port, answering, reach
from tests.waiting import wait_until

NEIGHBOUR = "192.168.77.3"

SPEC = f"reach: public\ndomain: rtc.example.com\nmedia: {{advertise: {EXTERNAL}}}\ntls: {{mode: off}}\n"
MAPPED: tuple[Port, ...] = (("udp", 7882), ("tcp", 7881), ("udp", 3478))


@pytest.fixture
def network() -> Iterator[HomeNetwork]:
    with make_home_network() as made:
        yield made


@pytest.fixture
def hub(network: HomeNetwork) -> Iterator[Hub]:
    with make_hub(network.hub.prefix, PORTS) as made:
        made.spec.write_text(SPEC)
        yield made


def apply(hub: Hub) -> dict[str, Any]:
    done = hub.run("firewall", "apply", "--router", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


with_each_protocol = pytest.mark.parametrize(
    ("protocols", "means"),
    [({}, "pcp"), ({"upnp": True, "pcp": False}, "upnp")],
    ids=["pcp", "upnp"],
)


@with_each_protocol
def test_packets_from_outside_arrive_after_apply_and_not_after_revert(
    network: HomeNetwork, hub: Hub, protocols: dict[str, bool], means: str
) -> None:
    with network.routing(**protocols), answering(network.hub, *MAPPED):
        assert reach(network.stranger, EXTERNAL, *MAPPED) == set()
        said = apply(hub)
        assert (said["means"], said["outside"], said["reachable"]) == (means, EXTERNAL, True)
        assert {f"UDP:7882:{HUB}:7882", f"TCP:7881:{HUB}:7881"} <= network.leases()
        assert reach(network.stranger, EXTERNAL, *MAPPED) == set(MAPPED)

        # Again is the same, for another lease.
        leases = network.leases()
        again = apply(hub)
        assert network.leases() == leases
        assert all(new["until"] >= old["until"] for new, old in zip(again["mappings"], said["mappings"], strict=True))

        assert hub.run("firewall", "revert", "--router").returncode == 0
        assert network.leases() == set()
        assert reach(network.stranger, EXTERNAL, *MAPPED) == set()
    assert not (hub.state / "router.json").exists()


def test_a_port_that_the_spec_no_longer_has_is_given_back(network: HomeNetwork, hub: Hub) -> None:
    with network.routing():
        apply(hub)
        hub.spec.write_text(SPEC.replace("media: {", "media: {udp: 7990, "))
        apply(hub)
        assert {lease.split(":")[1] for lease in network.leases()} == {"7990", "7881", "3478", "7880", "8080"}


def ask(machine: Namespace, action: str, means: str, local: str, port: Port, name: str) -> dict[str, Any]:
    """What the engine answers to a request for one port, in one language."""
    protocol, number = port
    row = {"protocol": protocol, "port": number, "name": name}
    before = [row | {"own": True}] if action == "unmap" else []
    record = {"gateway": ROUTER, "local": local, "means": means, "nonce": "", "mappings": before}
    request = {"version": 1, "action": action, "seconds": 3600, "mappings": [row], "record": record}
    return json.loads(machine.run(bundled_engine(), "portmap", "-", text=json.dumps(request)))  # type: ignore[no-any-return]


@contextmanager
def neighbouring(machine: Namespace) -> Iterator[None]:
    """What the machine sends to its router comes from the address of a neighbour."""
    machine.add_address("eth0", f"{NEIGHBOUR}/24")
    machine.run("ip", "route", "change", "192.168.77.0/24", "dev", "eth0", "src", NEIGHBOUR)
    yield
    machine.run("ip", "route", "change", "192.168.77.0/24", "dev", "eth0", "src", HUB)


def test_nat_pmp_maps_and_gives_back(network: HomeNetwork) -> None:
    with network.routing(), answering(network.hub, ("udp", 7882)):
        said = ask(network.hub, "map", "nat-pmp", HUB, ("udp", 7882), "")
        assert (said["means"], said["external_address"]) == ("nat-pmp", EXTERNAL)
        assert said["mappings"][0]["reason"] == "granted"
        assert network.leases() == {f"UDP:7882:{HUB}:7882"}
        assert reach(network.stranger, EXTERNAL, ("udp", 7882)) == {("udp", 7882)}
        ask(network.hub, "unmap", "nat-pmp", HUB, ("udp", 7882), "")
        assert network.leases() == set()


def test_a_port_of_another_machine_is_named_and_no_mapping_is_left(network: HomeNetwork, hub: Hub) -> None:
    with network.routing(pcp=False, secure=False):
        with neighbouring(network.hub):
            ask(network.hub, "map", "upnp", NEIGHBOUR, ("udp", 3478), "a game")
        before = network.leases()
        done = hub.run("firewall", "apply", "--router")
        assert done.returncode == 3
        assert f"refused 3478/udp: port 3478 goes to {NEIGHBOUR}" in done.stderr
        assert network.leases() == before


def test_a_mapping_that_the_user_made_is_used_and_left(network: HomeNetwork, hub: Hub) -> None:
    with network.routing(pcp=False):
        ask(network.hub, "map", "upnp", HUB, ("udp", 7882), "my own")
        before = network.leases()
        assert [mapping["own"] for mapping in apply(hub)["mappings"]].count(False) == 1
        assert hub.run("firewall", "revert", "--router").returncode == 0
        assert network.leases() == before


def test_a_router_without_port_mapping_is_reported(network: HomeNetwork, hub: Hub) -> None:
    done = hub.run("firewall", "apply", "--router")
    assert done.returncode == 3
    assert f"the router at {ROUTER} does not take requests" in done.stderr
    for means in ("pcp", "nat-pmp", "upnp"):
        assert f"{means}: " in done.stderr


def test_a_router_that_lost_its_mappings_gets_them_again(network: HomeNetwork, hub: Hub) -> None:
    with network.routing():
        apply(hub)
    network.restart()
    with network.routing(), answering(network.hub, *MAPPED):
        assert reach(network.stranger, EXTERNAL, *MAPPED) == set()
        apply(hub)
        assert reach(network.stranger, EXTERNAL, *MAPPED) == set(MAPPED)


def test_a_hub_that_is_not_public_gets_no_mapping(network: HomeNetwork, hub: Hub) -> None:
    hub.spec.write_text(f"reach: lan\nmedia: {{advertise: {HUB}}}\n")
    with network.routing():
        done = hub.run("firewall", "apply", "--router")
        assert (done.returncode, network.leases()) == (2, set())


def grow_old(hub: Hub, seconds: float) -> None:
    """As if the mappings had been asked for that long before."""
    record = hub.state / "router.json"
    known = json.loads(record.read_text())
    for mapping in known["mappings"]:
        mapping["since"] -= seconds
        mapping["until"] -= seconds
    record.write_text(json.dumps(known))


def find_codes(hub: Hub) -> set[str]:
    return {finding["code"] for finding in hub.findings()}


@with_each_protocol
def test_a_hub_that_runs_renews_what_is_due(
    network: HomeNetwork, hub: Hub, protocols: dict[str, bool], means: str
) -> None:
    with network.routing(**protocols):
        assert apply(hub)["means"] == means
        leases = network.leases()
    network.restart()
    grow_old(hub, LEASE_SECONDS)

    record = hub.state / "router.json"
    with network.routing(**protocols):
        hub.up("--no-verify")
        wait_until(lambda: network.leases() == leases, "the mappings")
        wait_until(lambda: json.loads(record.read_text())["mappings"][-1]["until"] > time.time(), "the record")
        assert "router-mapping-ends" not in find_codes(hub)


@pytest.mark.soak
@with_each_protocol
def test_a_router_that_is_restarted_gets_its_mappings_from_a_hub_that_runs(
    network: HomeNetwork, hub: Hub, protocols: dict[str, bool], means: str
) -> None:
    with network.routing(**protocols):
        assert apply(hub)["means"] == means
        leases = network.leases()
        hub.up("--no-verify")
    network.restart()
    grow_old(hub, USUAL.router_ask)
    wait_until(lambda: "were not renewed" in hub.log("hub"), "the request that nobody hears")
    assert "router-mapping-ends" not in find_codes(hub)
    with network.routing(**protocols):
        wait_until(lambda: network.leases() == leases, "the mappings")
        wait_until(lambda: "in order again" in hub.log("hub"), "the end of it")
