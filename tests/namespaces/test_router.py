"""`lkhub firewall apply --router` with a real miniupnpd: the router forwards the ports to the hub, and packets from
outside arrive."""

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
from tests.namespaces.home import HUB, OUTSIDE, ROUTER, Home, make_home
from tests.namespaces.lan import PORTS
from tests.namespaces.reach import Port, answering, reach
from tests.waiting import wait_until

NEIGHBOUR = "192.168.77.3"

SPEC = f"reach: public\ndomain: rtc.example.com\nmedia: {{advertise: {OUTSIDE}}}\ntls: {{mode: off}}\n"
MAPPED: tuple[Port, ...] = (("udp", 7882), ("tcp", 7881), ("udp", 3478))


@pytest.fixture
def home() -> Iterator[Home]:
    with make_home() as made:
        yield made


@pytest.fixture
def hub(home: Home) -> Iterator[Hub]:
    with make_hub(home.hub.prefix, PORTS) as made:
        made.spec.write_text(SPEC)
        yield made


def apply(hub: Hub) -> dict[str, Any]:
    done = hub.run("firewall", "apply", "--router", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


in_each_language = pytest.mark.parametrize(
    ("languages", "means"),
    [({}, "pcp"), ({"upnp": True, "pcp": False}, "upnp")],
    ids=["pcp", "upnp"],
)


@in_each_language
def test_packets_from_outside_arrive_after_apply_and_not_after_revert(
    home: Home, hub: Hub, languages: dict[str, bool], means: str
) -> None:
    with home.routing(**languages), answering(home.hub, *MAPPED):
        assert reach(home.stranger, OUTSIDE, *MAPPED) == set()
        said = apply(hub)
        assert (said["means"], said["outside"], said["reachable"]) == (means, OUTSIDE, True)
        assert {f"UDP:7882:{HUB}:7882", f"TCP:7881:{HUB}:7881"} <= home.leases()
        assert reach(home.stranger, OUTSIDE, *MAPPED) == set(MAPPED)

        # Again is the same, for another lease.
        leases = home.leases()
        again = apply(hub)
        assert home.leases() == leases
        assert all(new["until"] >= old["until"] for new, old in zip(again["mappings"], said["mappings"], strict=True))

        assert hub.run("firewall", "revert", "--router").returncode == 0
        assert home.leases() == set()
        assert reach(home.stranger, OUTSIDE, *MAPPED) == set()
    assert not (hub.state / "router.json").exists()


def test_a_port_that_the_spec_no_longer_has_is_given_back(home: Home, hub: Hub) -> None:
    with home.routing():
        apply(hub)
        hub.spec.write_text(SPEC.replace("media: {", "media: {udp: 7990, "))
        apply(hub)
        assert {lease.split(":")[1] for lease in home.leases()} == {"7990", "7881", "3478", "7880", "8080"}


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


def test_nat_pmp_maps_and_gives_back(home: Home) -> None:
    with home.routing(), answering(home.hub, ("udp", 7882)):
        said = ask(home.hub, "map", "nat-pmp", HUB, ("udp", 7882), "")
        assert (said["means"], said["outside"], said["mappings"][0]["reason"]) == ("nat-pmp", OUTSIDE, "granted")
        assert home.leases() == {f"UDP:7882:{HUB}:7882"}
        assert reach(home.stranger, OUTSIDE, ("udp", 7882)) == {("udp", 7882)}
        ask(home.hub, "unmap", "nat-pmp", HUB, ("udp", 7882), "")
        assert home.leases() == set()


def test_a_port_of_another_machine_is_named_and_no_mapping_is_left(home: Home, hub: Hub) -> None:
    with home.routing(pcp=False, secure=False):
        with neighbouring(home.hub):
            ask(home.hub, "map", "upnp", NEIGHBOUR, ("udp", 3478), "a game")
        before = home.leases()
        done = hub.run("firewall", "apply", "--router")
        assert done.returncode == 3
        assert f"refused 3478/udp: port 3478 goes to {NEIGHBOUR}" in done.stderr
        assert home.leases() == before


def test_a_mapping_that_the_user_made_is_used_and_left(home: Home, hub: Hub) -> None:
    with home.routing(pcp=False):
        ask(home.hub, "map", "upnp", HUB, ("udp", 7882), "my own")
        before = home.leases()
        assert [mapping["own"] for mapping in apply(hub)["mappings"]].count(False) == 1
        assert hub.run("firewall", "revert", "--router").returncode == 0
        assert home.leases() == before


def test_a_router_without_port_mapping_is_reported(home: Home, hub: Hub) -> None:
    done = hub.run("firewall", "apply", "--router")
    assert done.returncode == 3
    assert f"the router at {ROUTER} does not take requests" in done.stderr
    for means in ("pcp", "nat-pmp", "upnp"):
        assert f"{means}: " in done.stderr


def test_a_router_that_lost_its_mappings_gets_them_again(home: Home, hub: Hub) -> None:
    with home.routing():
        apply(hub)
    home.restart()
    with home.routing(), answering(home.hub, *MAPPED):
        assert reach(home.stranger, OUTSIDE, *MAPPED) == set()
        apply(hub)
        assert reach(home.stranger, OUTSIDE, *MAPPED) == set(MAPPED)


def test_a_hub_that_is_not_public_gets_no_mapping(home: Home, hub: Hub) -> None:
    hub.spec.write_text(f"reach: lan\nmedia: {{advertise: {HUB}}}\n")
    with home.routing():
        done = hub.run("firewall", "apply", "--router")
        assert (done.returncode, home.leases()) == (2, set())


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


@in_each_language
def test_a_hub_that_runs_renews_what_is_due(home: Home, hub: Hub, languages: dict[str, bool], means: str) -> None:
    with home.routing(**languages):
        assert apply(hub)["means"] == means
        leases = home.leases()
    home.restart()
    grow_old(hub, LEASE_SECONDS)

    record = hub.state / "router.json"
    with home.routing(**languages):
        hub.up("--no-verify")
        wait_until(lambda: home.leases() == leases, "the mappings")
        wait_until(lambda: json.loads(record.read_text())["mappings"][-1]["until"] > time.time(), "the record")
        assert "router-mapping-ends" not in find_codes(hub)


@in_each_language
def test_a_router_that_is_restarted_gets_its_mappings_from_a_hub_that_runs(
    home: Home, hub: Hub, languages: dict[str, bool], means: str
) -> None:
    with home.routing(**languages):
        assert apply(hub)["means"] == means
        leases = home.leases()
        hub.up("--no-verify")
    home.restart()
    grow_old(hub, USUAL.router_ask)
    wait_until(lambda: "were not renewed" in hub.log("hub"), "the request that nobody hears")
    assert "router-mapping-ends" not in find_codes(hub)
    with home.routing(**languages):
        wait_until(lambda: home.leases() == leases, "the mappings")
        wait_until(lambda: "in order again" in hub.log("hub"), "the end of it")
