"""No packet goes to a third party: not from the hub, not from the clients in a call, not to a name server."""

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.namespaces.capture import capturing
from tests.namespaces.lan import CLIENT, HUB, HUB_SPEC, PLAIN_SPEC, PORTS, Lan, call_from, on_client

# What a machine in an office has in its environment. Nothing between a hub and itself is a proxy's business.
PROXIES = {f"{scheme}_proxy": "http://192.0.2.2:3128" for scheme in ("http", "https", "all")}


def test_a_hub_for_this_machine_and_its_clients_contact_no_other_address(
    machine: Namespace, outside: Namespace, hub: Hub
) -> None:
    hub.spec.unlink()
    hub.environ |= PROXIES
    with capturing(outside, "eth0") as capture:
        capture.prove(machine, 4, 6)
        live_through(hub, machine)
        assert capture.strangers(machine) == []


@pytest.mark.parametrize("spec", [HUB_SPEC, PLAIN_SPEC], ids=["tls-internal", "tls-off"])
def test_a_hub_on_the_lan_and_its_people_speak_to_each_other_alone(lan: Lan, spec: str) -> None:
    with make_hub(lan.hub.prefix, PORTS) as hub, capturing(lan.client, "lan0", (HUB, CLIENT)) as capture:
        for sender in (lan.hub, lan.client):
            capture.prove(sender, 4)
        hub.spec.write_text(spec)
        hub.environ |= PROXIES
        live_through(hub, lan.client)
        assert capture.strangers(lan.hub) == []


def test_a_third_party_that_a_spec_names_is_seen(machine: Namespace, outside: Namespace, hub: Hub) -> None:
    """The other tests' proof: this is what a leak looks like there."""
    hub.spec.write_text("stun: [stun.example.net:3478]\n")
    with capturing(outside, "eth0") as capture:
        hub.up("--no-verify")
        with call_from(on_client(hub, machine), "room"):
            capture.wait_for("stun.example.net")


def live_through(hub: Hub, machine: Namespace) -> None:
    """Everything that a hub does in its life, with a call of clients on `machine`."""
    hub.up()
    client = on_client(hub, machine)
    # From outside, a path that is not offered can't be tried; this is no failure.
    done = client.run("verify", "--url", client.environ["LIVEKIT_URL"])
    assert done.returncode == 0, done.stdout + done.stderr
    with call_from(client, "room") as call:
        call.force_tls()
        call.wait_connected("udp", "relay")
        assert hub.status()["hub"]["state"] == "running"
    down = hub.run("down")
    assert down.returncode == 0, down.stderr
