import json
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.render.all import render_all
from lkhub.render.relay import render_relay
from lkhub.spec.load import load_spec
from tests.machines import MACHINES

PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"


def render(text: str = "", machine: str = "laptop") -> dict[str, Any]:
    plan = build_plan(load_spec(text.encode()), MACHINES[machine])
    assert plan is not None
    assert plan.relay is not None
    file = render_relay(plan, plan.relay)
    assert (file.name, file.mode) == ("relay.json", 0o600)
    rendered: dict[str, Any] = json.loads(file.text)
    return rendered


def test_peers_are_the_media_ports_and_nothing_else() -> None:
    assert render()["peers"] == [{"address": "127.0.0.1", "min": 7882, "max": 7882}]
    assert render("reach: lan\nmedia: {udp: 5000-5010}")["peers"] == [
        {"address": "192.168.1.5", "min": 5000, "max": 5010}
    ]


def test_relay_listens_where_clients_are_told() -> None:
    both = render("reach: lan\nmedia: {advertise: [192.168.1.5, fd00::5]}\nturn: {udp: 4000}")
    assert both["listen"] == ["192.168.1.5:4000", "[fd00::5]:4000"]
    assert both["relay_address"] == "192.168.1.5"


def test_keys_are_those_of_the_contract_with_the_engine() -> None:
    rendered = render("name: my-hub\nturn: {relay: 40000-40009}")
    assert set(rendered) == {"listen", "realm", "secret_file", "relay_address", "relay_ports", "peers", "quota"}
    assert rendered["realm"] == "my-hub"
    assert rendered["relay_ports"] == {"min": 40000, "max": 40009}
    assert rendered["quota"] >= 12, "one participant legitimately makes about twelve allocations"
    assert rendered["secret_file"] == "/var/lib/lkhub/relay.secret"


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("", {"relay.json"}),
        ("reach: lan", {"relay.json", "caddy.json"}),
        ("reach: lan\nturn: {udp: off}", {"caddy.json"}),
        ("reach: lan\nturn: {tls: false}", {"relay.json"}),
        ("reach: lan\ntls: {mode: off}", {"relay.json"}),
    ],
)
def test_relay_is_in_the_process_that_clients_come_to(text: str, files: set[str]) -> None:
    plan = build_plan(load_spec(text.encode()), MACHINES["laptop"])
    assert plan is not None
    rendered = {file.name: json.loads(file.text) for file in render_all(plan) if file.name.endswith(".json")}
    over = {
        "relay.json": {key: value for key, value in rendered.get("relay.json", {}).items() if key != "listen"},
        "caddy.json": rendered.get("caddy.json", {"apps": {"lkhub": {}}})["apps"]["lkhub"].get("relay"),
    }
    assert {name for name, relay in over.items() if relay} == files
    assert {process.name for process in plan.processes if process.name == "relay"} == (
        {"relay"} if "relay.json" in files else set()
    )
    relays = [relay for relay in over.values() if relay]
    assert all(relay == relays[0] for relay in relays)


@pytest.mark.parametrize(
    ("text", "machine", "translate", "relay_address", "peers"),
    [
        ("reach: lan", "zoo", None, "192.168.1.5", ["192.168.1.5", "10.0.0.9"]),
        (PUBLIC_HUB, "vps", None, "1.2.3.4", ["1.2.3.4", "2600::4"]),
        # Clients name the address that they were told; from inside nobody reaches it.
        (PUBLIC_HUB, "home", {"1.2.3.4": "192.168.1.5"}, "192.168.1.5", ["1.2.3.4"]),
        (PUBLIC_HUB, "home-dual", {"1.2.3.4": "192.168.1.6"}, "192.168.1.6", ["1.2.3.4", "2600::4"]),
        (
            PUBLIC_HUB + "media: {advertise: {stun: stun.example.com:3478}}",
            "home-seen",
            {"1.2.3.4": "192.168.1.5"},
            "192.168.1.5",
            ["1.2.3.4"],
        ),
    ],
)
def test_address_outside_is_translated_to_the_one_that_it_leads_to(
    text: str, machine: str, translate: dict[str, str] | None, relay_address: str, peers: list[str]
) -> None:
    rendered = render(text, machine)
    assert rendered["relay_address"] == relay_address
    assert [peer["address"] for peer in rendered["peers"]] == peers
    if translate is None:
        assert "translate" not in rendered
    else:
        assert {row["advertised"]: row["local"] for row in rendered["translate"]} == translate
        assert set(translate) <= set(peers)


@pytest.mark.parametrize("machine", ["home", "home-dual"])
def test_relay_listens_on_addresses_of_this_machine(machine: str) -> None:
    own = {str(address) for interface in MACHINES[machine].interfaces for address in interface.addresses}
    for listen in render(PUBLIC_HUB, machine)["listen"]:
        assert listen.rpartition(":")[0].strip("[]") in own
