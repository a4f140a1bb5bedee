from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.render.livekit import merge, render_livekit
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES

PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"


def plan(text: str = "", machine: str = "laptop") -> Plan:
    loaded = load_spec(text.encode())
    built = build_plan(loaded, MACHINES[machine], INSTALLATION)
    assert loaded.faults == []
    assert built is not None
    return built


def render(text: str = "", machine: str = "laptop") -> dict[str, Any]:
    rendered: dict[str, Any] = YAML(typ="safe", pure=True).load(render_livekit(plan(text, machine)).text)
    return rendered


def test_file_is_private_and_says_who_writes_it() -> None:
    file = render_livekit(plan())
    assert (file.name, file.mode) == ("livekit.yaml", 0o600)
    assert file.text.startswith("# written by lkhub")


def test_secrets_are_named_and_not_written() -> None:
    text = render_livekit(plan("keys: {source: {key: API, secret: " + "XYZ" * 15 + "}}")).text
    assert "XYZ" not in text
    assert "key_file: /var/lib/lkhub/keys.yaml" in text
    assert "secret_file: /var/lib/lkhub/relay.secret" in text


def test_nothing_is_asked_of_strangers() -> None:
    for text, machine in (
        *(
            ("", "laptop"),
            ("reach: lan", "laptop"),
            ("turn: {enabled: false}", "laptop"),
            ("turn: {udp: off}", "laptop"),
        ),
        *(("reach: lan\nturn: {enabled: false}", "zoo"), (PUBLIC_HUB, "vps"), (PUBLIC_HUB, "home")),
        *((PUBLIC_HUB + "turn: {enabled: false}", "vps"), (PUBLIC_HUB + "turn: {udp: off}", "vps-v6")),
        (PUBLIC_HUB + "tls: {mode: external}\nturn: {udp: off}", "vps"),
    ):
        rtc = render(text, machine)["rtc"]
        assert rtc["use_external_ip"] is False
        assert rtc.get("turn_servers") or rtc.get("stun_servers"), text
        assert rtc["node_ip"]


def test_livekits_own_turn_is_off() -> None:
    assert render()["turn"] == {"enabled": False}


def test_one_port_and_a_range_are_different_keys() -> None:
    assert render("media: {udp: 7000}")["rtc"]["udp_port"] == 7000
    rtc = render("media: {udp: 7000-7010}")["rtc"]
    assert (rtc["port_range_start"], rtc["port_range_end"]) == (7000, 7010)
    assert "udp_port" not in rtc


def test_ice_tcp_that_is_off_is_port_zero() -> None:
    assert render()["rtc"]["tcp_port"] == 0
    assert render("reach: lan")["rtc"]["tcp_port"] == 7881


def test_lan_hub_listens_on_the_one_address_of_its_interface() -> None:
    rtc = render("reach: lan\nmedia: {advertise: [192.168.1.5, fd00::5]}")["rtc"]
    assert rtc["ips"] == {"includes": ["192.168.1.5/32", "fd00::5/128"]}
    assert rtc["interfaces"] == {"includes": ["eth0"]}
    assert "enable_loopback_candidate" not in rtc


def test_address_of_a_turn_server_can_stand_in_a_url() -> None:
    """LiveKit writes it into `turn:HOST:PORT` as it is."""
    hosts = [server["host"] for server in render("media: {advertise: ['127.0.0.1', '::1']}")["rtc"]["turn_servers"]]
    assert hosts == ["127.0.0.1", "[::1]"]


def list_turn(text: str, machine: str = "laptop") -> list[str]:
    """The TURN URLs that LiveKit gives to clients."""
    servers = render(text, machine)["rtc"].get("turn_servers", [])
    for server in servers:
        assert server["secret_file"] == "/var/lib/lkhub/relay.secret"
        assert set(server) == {"host", "port", "protocol", "secret_file"}
    return [f"{server['protocol']} {server['host']}:{server['port']}" for server in servers]


@pytest.mark.parametrize(
    ("text", "machine", "servers"),
    [
        ("", "laptop", ["udp 127.0.0.1:3478"]),
        ("reach: lan", "laptop", ["udp 192.168.1.5:3478", "tls 192.168.1.5:443"]),
        ("reach: lan", "lan-v6", ["udp [fd00::5]:3478", "tls [fd00::5]:443"]),
        # A client of either LAN reaches one of them.
        (
            "reach: lan",
            "zoo",
            ["udp 192.168.1.5:3478", "udp 10.0.0.9:3478", "tls 192.168.1.5:443", "tls 10.0.0.9:443"],
        ),
        ("reach: lan\ndomain: hub.example.com", "laptop", ["udp 192.168.1.5:3478", "tls hub.example.com:443"]),
        ("reach: lan\ntls: {listen: 8443}", "laptop", ["udp 192.168.1.5:3478", "tls 192.168.1.5:8443"]),
        ("reach: lan\ntls: {mode: off}", "laptop", ["udp 192.168.1.5:3478"]),
        ("reach: lan\nturn: {tls: false}", "laptop", ["udp 192.168.1.5:3478"]),
        ("reach: lan\nturn: {udp: off}", "laptop", ["tls 192.168.1.5:443"]),
        (PUBLIC_HUB, "vps", ["udp 1.2.3.4:3478", "udp [2600::4]:3478", "tls rtc.example.com:443"]),
        (PUBLIC_HUB, "home", ["udp 1.2.3.4:3478", "tls rtc.example.com:443"]),
        (PUBLIC_HUB + "turn: {domain: turn.example.com}", "vps-v4", ["udp 1.2.3.4:3478", "tls turn.example.com:443"]),
        (PUBLIC_HUB + "tls: {mode: external}", "vps-v4", ["udp 1.2.3.4:3478"]),
        (PUBLIC_HUB + "turn: {enabled: false}", "vps", []),
    ],
)
def test_clients_are_told_the_relay_where_they_reach_it(text: str, machine: str, servers: list[str]) -> None:
    assert list_turn(text, machine) == servers


@pytest.mark.parametrize(
    ("text", "machine", "node_ip", "ips"),
    [
        ("reach: lan", "laptop", "192.168.1.5", ["192.168.1.5/32"]),
        ("reach: lan", "lan-v6", "fd00::5", ["fd00::5/128"]),
        (PUBLIC_HUB, "vps", "1.2.3.4,2600::4", ["1.2.3.4/32", "2600::4/128"]),
        # Behind a NAT: the address that clients are told, and the local one behind it.
        (PUBLIC_HUB, "home", "1.2.3.4", ["192.168.1.5/32"]),
        (PUBLIC_HUB, "home-dual", "1.2.3.4,2600::4", ["192.168.1.6/32", "2600::4/128"]),
        # The file can name one address of each family; the engine gets the others by --advertise.
        ("reach: lan", "zoo", "192.168.1.5", ["192.168.1.5/32", "10.0.0.9/32"]),
    ],
)
def test_what_clients_are_told_and_where_media_listens(text: str, machine: str, node_ip: str, ips: list[str]) -> None:
    rtc = render(text, machine)["rtc"]
    assert rtc["node_ip"] == node_ip
    assert rtc["ips"] == {"includes": ips}
    assert rtc["use_external_ip"] is False, "it would ask a third party"


def test_behind_an_edge_signalling_is_on_loopback() -> None:
    assert render("reach: lan")["bind_addresses"] == ["127.0.0.1"]
    assert render(PUBLIC_HUB, "vps")["bind_addresses"] == ["127.0.0.1"]


def test_rooms_that_the_operator_opens_are_opened_by_no_join() -> None:
    assert render("access: {create: operator}")["room"] == {"auto_create": False}
    both = render("access: {create: operator}\nlivekit: {room: {auto_create: false, max_participants: 9}}")
    assert both["room"] == {"auto_create": False, "max_participants": 9}
    assert "room" not in render("access: {create: joining}")


def test_raw_keys_come_last_and_change_only_what_they_name() -> None:
    rendered = render(
        "livekit: {logging: {level: debug}, rtc: {batch_io: {batch_size: 128}}, room: {auto_create: false}}"
    )
    assert rendered["logging"] == {**render("")["logging"], "level": "debug"}
    assert rendered["rtc"]["batch_io"] == {"batch_size": 128}
    assert rendered["rtc"]["udp_port"] == 7882
    assert rendered["room"] == {"auto_create": False}


def test_same_plan_gives_the_same_text() -> None:
    assert render_livekit(plan("reach: lan")) == render_livekit(plan("reach: lan"))


# ruamel writes a few line separators as a plain space; no LiveKit setting contains one.
TEXT = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=10)
AWKWARD = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.sampled_from(["yes", "012", "1:2", "~", "#", "a: b", "*x"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, AWKWARD, max_size=4))
@settings(max_examples=50)
def test_raw_values_arrive_as_they_were_given(raw: dict[str, Any]) -> None:
    text = render_livekit(replace(plan(), livekit={"extra": raw})).text
    assert YAML(typ="safe", pure=True).load(text)["extra"] == raw


MAPPINGS = st.recursive(
    st.integers(), lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3), max_leaves=10
).filter(lambda value: isinstance(value, dict))


@given(MAPPINGS, MAPPINGS)
def test_merging_keeps_both_sides_and_changes_neither(base: Any, over: Any) -> None:
    before = (repr(base), repr(over))
    merged = merge(base, over)
    assert set(merged) == set(base) | set(over)
    assert merge(merged, over) == merged
    assert merge(base, {}) == base
    assert (repr(base), repr(over)) == before


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_mappings_are_merged_and_everything_else_is_replaced(base: Any, over: Any, merged: Any) -> None:
    assert merge(base, over) == merged


# --- webhooks to the service


WEBHOOKS = "webhooks: [{url: 'https://app.example.com/hook'}]\n"
SERVICE = "http://127.0.0.1:8080/api/webhooks/livekit"


def test_hub_that_keeps_nothing_gets_no_webhooks() -> None:
    assert "webhook" not in render()


def render_webhook(text: str) -> Any:
    file = render_livekit(plan(text), key="APIcurrent")
    return YAML(typ="safe", pure=True).load(file.text)["webhook"]


@pytest.mark.parametrize("text", [WEBHOOKS, "rooms: [{match: '*', capacity: 2}]", "access: {modes: [api-keys]}"])
def test_media_tells_the_service_of_all_events(text: str) -> None:
    webhook = render_webhook(text)
    assert webhook["urls"] == [SERVICE]
    assert webhook["resource_url_notifier"] == {"max_age": "5m", "max_depth": 2000}


def test_key_is_named_for_a_livekit_of_the_operators_alone() -> None:
    """The hub's own media signs with the current key, so that another one restarts nothing."""
    assert "api_key" not in render_webhook(WEBHOOKS)
    assert render_webhook(WEBHOOKS + "engine: /usr/bin/livekit-server")["api_key"] == "APIcurrent"


def test_applications_never_get_what_media_signs_at_once() -> None:
    """LiveKit forgets an event after 15 s; the service does not."""
    assert "app.example.com" not in render_livekit(plan(WEBHOOKS)).text


def test_raw_receivers_are_told_beside_the_service() -> None:
    raw = (
        "livekit: {webhook: {urls: ['http://127.0.0.1:9/x'], api_key: APIother, resource_url_notifier: {max_age: 9s}}}"
    )
    webhook = render_webhook(WEBHOOKS + raw)
    assert webhook["urls"] == ["http://127.0.0.1:9/x", SERVICE]
    assert webhook["api_key"] == "APIother"
    assert webhook["resource_url_notifier"] == {"max_age": "9s", "max_depth": 2000}


@pytest.mark.parametrize("raw", ["webhook: 7", "webhook: {urls: 7}", "webhook: {urls: null}"])
def test_raw_webhooks_that_are_nonsense_do_not_hide_the_service(raw: str) -> None:
    assert render_webhook(WEBHOOKS + f"livekit: {{{raw}}}")["urls"] == [SERVICE]
