import json
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.render.all import render_all
from lkhub.render.relay import render_relay
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES

PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"


def render(text: str = "", machine: str = "laptop") -> dict[str, Any]:
    plan = build_plan(load_spec(text.encode()), MACHINES[machine], INSTALLATION)
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
    keys = {"listen", "realm", "secret_file", "relay_address", "relay_ports", "peers", "quota", "media_control"}
    assert set(rendered) == keys
    assert rendered["realm"] == "my-hub"
    assert rendered["relay_ports"] == {"min": 40000, "max": 40009}
    assert rendered["secret_file"] == "/var/lib/lkhub/relay.secret"
    assert rendered["media_control"] == ["/var/lib/lkhub/run/media.sock"]


def test_livekit_server_of_the_users_is_not_asked_who_is_in() -> None:
    assert "media_control" not in render("engine: /usr/bin/livekit-server")


@pytest.mark.parametrize(
    ("text", "udp", "tls"),
    [
        ("reach: lan", (30000, 34999), (35000, 39999)),
        ("reach: lan\nturn: {relay: 40000-40002}", (40000, 40000), (40001, 40002)),
        ("reach: lan\nturn: {relay: 40000}", (40000, 40000), (40000, 40000)),
        ("reach: lan\nturn: {udp: off}", None, (30000, 39999)),
        ("reach: lan\nturn: {tls: false}", (30000, 39999), None),
    ],
)
def test_the_range_is_divided_among_those_who_relay(
    text: str, udp: tuple[int, int] | None, tls: tuple[int, int] | None
) -> None:
    relays = list_relays(text)
    for name, ports in (("relay.json", udp), ("caddy.json", tls)):
        expected = {"min": ports[0], "max": ports[1]} if ports else None
        assert (relays[name]["relay_ports"] if name in relays else None) == expected


def test_a_participant_has_twelve_allocations_for_each_url() -> None:
    relays = list_relays("reach: lan\nmedia: {advertise: [192.168.1.5, fd00::5]}")
    assert {name: relay["quota"] for name, relay in relays.items()} == {"relay.json": 24, "caddy.json": 12}
    assert render()["quota"] == 12


def list_relays(text: str) -> dict[str, dict[str, Any]]:
    """What each file says of a relay."""
    plan = build_plan(load_spec(text.encode()), MACHINES["laptop"], INSTALLATION)
    assert plan is not None
    rendered = {file.name: json.loads(file.text) for file in render_all(plan) if file.name.endswith(".json")}
    found = {
        "relay.json": {key: value for key, value in rendered.get("relay.json", {}).items() if key != "listen"},
        "caddy.json": rendered.get("caddy.json", {"apps": {"lkhub": {}}})["apps"]["lkhub"].get("relay"),
    }
    return {name: relay for name, relay in found.items() if relay}


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
    plan = build_plan(load_spec(text.encode()), MACHINES["laptop"], INSTALLATION)
    assert plan is not None
    relays = list_relays(text)
    assert set(relays) == files
    assert {process.name for process in plan.processes if process.name == "relay"} == (
        {"relay"} if "relay.json" in files else set()
    )
    own = ("relay_ports", "quota")
    first, *others = ({key: relay[key] for key in relay if key not in own} for relay in relays.values())
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    ("text", "machine", "translate", "relay_address", "peers"),
    [
        ("reach: lan", "zoo", None, "192.168.1.5", ["192.168.1.5", "10.0.0.9"]),
        (PUBLIC_HUB, "vps", None, "1.2.3.4", ["1.2.3.4", "2600::4"]),
        # Clients use the address that they were told; it can't be reached from inside.
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
