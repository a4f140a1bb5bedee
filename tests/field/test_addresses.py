"""Machines with addresses that are not on their one network card."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace, connect, namespace, tunnel
from tests.namespaces.lan import NAME_SERVER, PORTS, make_lan, on_client, somebody_on
from tests.namespaces.world import DOMAIN, HUB_HOME, PUBLIC, hub_behind_nat

PUBLIC_SPEC = f"reach: public\ndomain: {DOMAIN}\ntls: {{mode: internal}}\n"
LAN = "192.168.1.10"


@contextmanager
def hub_of(machine: Namespace, spec: str) -> Iterator[Hub]:
    with make_hub(machine.prefix, PORTS) as hub:
        hub.spec.write_text(spec)
        yield hub


def up(hub: Hub) -> str:
    """What `up` says on stderr; every path is proved."""
    done = hub.run("up", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("verified ") == 4, done.stdout
    return done.stderr


@pytest.mark.case("vip-in-front")
def test_virtual_address_that_leads_here_is_reported() -> None:
    spec = f"{PUBLIC_SPEC}media: {{advertise: {PUBLIC}}}\n"
    with hub_behind_nat(hairpin=False) as world, hub_of(world.hub, spec) as hub:
        said = up(hub)
        assert f"clients are told {PUBLIC}, assuming that the router in front leads it to {HUB_HOME}" in said
        done = on_client(hub, world.client).run("verify", "--url", f"wss://{DOMAIN}")
        assert done.returncode == 0, done.stdout + done.stderr
        # A client used that address, so it is no longer an assumption.
        assert "address-assumed" not in [finding["code"] for finding in hub.findings()]


@pytest.mark.case("two-networks")
def test_each_network_is_served() -> None:
    with (
        make_lan("198.18.7.1", "198.18.7.2", "lan0") as lan,
        somebody_on(lan.hub, "lan1", "10.227.1.31", "10.227.1.32") as other,
        hub_of(lan.hub, "reach: lan\n") as hub,
    ):
        up(hub)
        for machine, address in ((lan.client, "198.18.7.1"), (other, "10.227.1.31")):
            done = on_client(hub, machine).run("verify", "--url", f"wss://{address}")
            assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def bridged(machine: Namespace, other: Namespace) -> Iterator[None]:
    """The machine's one address is on a bridge. In a namespace nothing is a network card, so what is below it is judged
    in tests/host/test_node.py."""
    connect(machine, other, "eth0")
    machine.run("ip", "link", "add", "vmbr0", "type", "bridge")
    machine.run("ip", "link", "set", "eth0", "master", "vmbr0", "up")
    machine.add_address("vmbr0", f"{LAN}/24")
    other.add_address("eth0", "192.168.1.1/24")
    yield


@pytest.mark.case("bridge-over-bond-or-vlan")
@pytest.mark.parametrize("routed", [True, False])
def test_bridge_with_the_only_address_is_the_lan(routed: bool) -> None:
    with namespace("hub", NAME_SERVER) as machine, namespace("other", NAME_SERVER) as other, bridged(machine, other):
        if routed:
            machine.add_default_route("192.168.1.1")
        machine.add_bridge("docker0", "172.17.0.1/16")
        with hub_of(machine, "reach: lan\n") as hub:
            said = up(hub)
            why = "which carries the default route" if routed else "a bridge without a network card: there is no other"
            assert f"clients are told {LAN}, on vmbr0, {why}" in said
            done = on_client(hub, other).run("verify", "--url", f"wss://{LAN}")
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.case("public-address-on-ppp-or-wg")
@pytest.mark.parametrize("interface", ["ppp0", "wg0"])
def test_public_address_of_a_tunnel_is_the_machines(machine: Namespace, interface: str) -> None:
    machine.name_hosts({DOMAIN: PUBLIC})
    with tunnel(machine, interface, f"{PUBLIC}/32"):
        machine.run("ip", "route", "add", "default", "dev", interface)
        with hub_of(machine, PUBLIC_SPEC) as hub:
            assert f"clients are told {PUBLIC}, the public address on {interface}, a tunnel" in up(hub)
            assert hub.status()["hub"]["state"] == "running"


@pytest.mark.case("offline-lan")
def test_lan_without_the_internet() -> None:
    with namespace("hub") as machine, namespace("other") as other:
        connect(machine, other, "lan0")
        machine.add_address("lan0", f"{LAN}/24")
        other.add_address("lan0", "192.168.1.11/24")
        with hub_of(machine, "reach: lan\n") as hub:
            up(hub)
            done = on_client(hub, other).run("verify", "--url", f"wss://{LAN}")
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.case("no-ipv6")
@pytest.mark.parametrize("spec", ["reach: lan\n", "reach: local\n"])
def test_machine_without_ipv6(spec: str) -> None:
    with namespace("hub") as machine, namespace("other") as other:
        for settings in ("all", "default", "lo"):
            machine.run("sysctl", "-qw", f"net.ipv6.conf.{settings}.disable_ipv6=1")
        connect(machine, other, "lan0")
        machine.add_address("lan0", f"{LAN}/24")
        with hub_of(machine, spec) as hub:
            done = hub.run("up", "--detach")
            assert done.returncode == 0, done.stdout + done.stderr
            assert hub.status()["hub"]["state"] == "running"


@pytest.mark.case("full-tunnel-vpn")
def test_vpn_with_the_default_route_is_not_the_lan() -> None:
    with make_lan("198.18.7.1", "198.18.7.2", "lan0") as lan, tunnel(lan.hub, "wg0", "10.8.0.2/24"):
        lan.hub.run("ip", "route", "replace", "default", "dev", "wg0")
        with hub_of(lan.hub, "reach: lan\n") as hub:
            said = up(hub)
            assert "clients are told 198.18.7.1, on lan0" in said
            assert "not 10.8.0.2 on wg0: a VPN" in said
