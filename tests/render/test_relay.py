import json
from typing import Any

from lkhub.plan.build import build_plan
from lkhub.render.relay import render_relay
from lkhub.spec.load import load_spec
from tests.machines import make_facts


def render(text: str = "") -> dict[str, Any]:
    plan = build_plan(load_spec(text.encode()), make_facts())
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
