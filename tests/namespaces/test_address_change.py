"""The machine's address changes while the hub runs: the hub uses the new one as soon as that interrupts no call."""

from collections.abc import Iterator

import pytest

from tests.kit.hub import Hub
from tests.kit.netns import Namespace
from tests.namespaces.lan import call_from, on_client, somebody_on
from tests.waiting import wait_until

OLD, NEW, NEIGHBOUR = "192.168.50.2", "192.168.50.9", "192.168.50.1"
OTHER_LAN, FAR_NEIGHBOUR = "10.9.0.2", "10.9.0.3"


@pytest.fixture
def neighbour(machine: Namespace) -> Iterator[Namespace]:
    """A client on the LAN in which the hub's address will change."""
    with somebody_on(machine, "eth0", OLD, NEIGHBOUR) as made:
        yield made


@pytest.fixture
def far(machine: Namespace) -> Iterator[Namespace]:
    """A client on another LAN, where the address does not change."""
    with somebody_on(machine, "eth1", OTHER_LAN, FAR_NEIGHBOUR) as made:
        yield made


@pytest.fixture
def running(machine: Namespace, neighbour: Namespace, hub: Hub) -> Hub:
    machine.add_default_route(NEIGHBOUR)
    hub.spec.write_text("reach: lan\n")
    hub.up("--no-verify")
    return hub


def move(machine: Namespace) -> None:
    """As after another answer of the DHCP server; the default route stays where it was."""
    lose(machine)
    machine.add_address("eth0", f"{NEW}/24")
    machine.add_default_route(NEIGHBOUR)


def lose(machine: Namespace) -> None:
    machine.run("ip", "address", "delete", f"{OLD}/24", "dev", "eth0")


def findings(hub: Hub) -> dict[str, str]:
    """Code and detail of each."""
    return {finding["code"]: finding["detail"] for finding in hub.findings()}


def wait_followed(hub: Hub, *addresses: str) -> None:
    told = ", ".join(addresses)
    wait_until(lambda: f"followed its address from {OLD}" in hub.log("hub"), f"the hub follows to {told}")
    assert f"to {told}\n" in hub.log("hub")


def assert_serves(hub: Hub, client: Namespace, address: str) -> None:
    elsewhere = on_client(hub, client)
    done = elsewhere.run("verify", "--url", f"wss://{address}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_hub_follows_by_itself(machine: Namespace, neighbour: Namespace, running: Hub) -> None:
    move(machine)
    wait_followed(running, NEW)
    assert on_client(running, neighbour).environ["LIVEKIT_URL"] == f"wss://{NEW}"
    assert_serves(running, neighbour, NEW)
    # The old root vouches for the old address alone.
    assert "every device has to trust it anew" in running.log("hub")
    [(code, detail)] = findings(running).items()
    assert (code, f"not good for {NEW}" in detail) == ("root-changed", True), detail
    assert running.run("trust").returncode == 0
    assert set(findings(running)) == {"root-changed"}, "a command that reads ends no finding"


def test_a_lost_address_is_a_finding_and_the_next_one_is_taken(
    machine: Namespace, neighbour: Namespace, running: Hub
) -> None:
    before = running.pids()
    lose(machine)
    wait_until(lambda: "address-changed" in findings(running), "the loss is noticed")
    assert "the hub's address is gone" in findings(running)["address-changed"]
    assert running.pids() == before
    machine.add_address("eth0", f"{NEW}/24")
    wait_followed(running, NEW)
    assert set(findings(running)) == {"root-changed"}
    assert_serves(running, neighbour, NEW)


@pytest.mark.timing
def test_who_is_in_a_call_is_not_interrupted_until_the_operator_says_so(
    machine: Namespace, neighbour: Namespace, far: Namespace, hub: Hub
) -> None:
    hub.spec.write_text("reach: lan\n")
    machine.add_default_route(NEIGHBOUR)
    hub.up("--no-verify")
    before = hub.pids()
    client = on_client(hub, far)
    client.environ["LIVEKIT_URL"] = f"wss://{OTHER_LAN}"
    with call_from(client, "room") as call:
        call.watch()
        move(machine)
        told = f"clients are told {OLD}, {OTHER_LAN}, and this machine is at {NEW}, {OTHER_LAN}"
        wait_until(lambda: findings(hub) == {"address-changed": told}, "the change is noticed")
        assert hub.pids() == before
        gap, reconnects = call.disturbance()
        assert (gap < 0.25, reconnects) == (True, 0), gap

        done = hub.run("up", "--detach", "--no-verify", "--now")
        assert done.returncode == 0, done.stderr
        assert "2 people are in a call and had to reconnect" in done.stderr
        assert set(findings(hub)) == {"root-changed"}
        assert_serves(hub, neighbour, NEW)
        call.wait_connected("udp", "udp")


def test_it_follows_when_the_last_one_has_left(
    machine: Namespace, neighbour: Namespace, far: Namespace, hub: Hub
) -> None:
    hub.spec.write_text("reach: lan\n")
    machine.add_default_route(NEIGHBOUR)
    hub.up("--no-verify")
    client = on_client(hub, far)
    client.environ["LIVEKIT_URL"] = f"wss://{OTHER_LAN}"
    with call_from(client, "room"):
        move(machine)
        wait_until(lambda: "address-changed" in findings(hub), "the change is noticed")
    wait_until(lambda: set(findings(hub)) == {"root-changed"}, "the hub follows")
    assert_serves(hub, neighbour, NEW)
