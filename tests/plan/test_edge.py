"""The hub's edge in every mode: its names, its ports, the issuer of its certificate, and what each mode needs."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.edge import DEFAULT_MODES, list_authorities, tls_mode
from lkhub.plan.model import EdgePlan, Plan
from lkhub.plan.network import LookedUp, NetworkFacts
from lkhub.spec.load import LoadedSpec, load_spec
from tests.findings.make import NO_TAILSCALED
from tests.machines import INSTALLATION, MACHINES

PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"
EXTERNAL = "domain: rtc.example.com\ntls: {mode: external}\n"
FILES = "tls: {mode: files, cert: full.pem, key: /keys/key.pem}\n"
ACCOUNT = "{key_id: kid-1, mac_key: {file: mac.key}}"
TAILNET = "laptop.tail1234.ts.net"


def build(text: str, machine: str = "laptop") -> Plan:
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, MACHINES[machine], INSTALLATION)
    assert loaded.faults == []
    assert plan is not None
    return plan


def edge_of(text: str, machine: str = "laptop") -> EdgePlan:
    edge = build(text, machine).edge
    assert edge is not None
    return edge


def judge(text: str, facts: NetworkFacts = MACHINES["laptop"]) -> LoadedSpec:
    loaded = load_spec(text.encode())
    build_plan(loaded, facts, INSTALLATION)
    return loaded


@pytest.mark.parametrize(("reach", "mode"), DEFAULT_MODES.items())
def test_mode_follows_from_the_reach_where_the_spec_says_nothing(reach: str, mode: str) -> None:
    assert tls_mode(load_spec(f"reach: {reach}".encode()).spec) == mode
    assert tls_mode(load_spec(f"reach: {reach}\ntls: {{mode: files}}".encode()).spec) == "files"


def test_hub_without_tls_has_no_edge() -> None:
    for text in ("", "reach: lan\ntls: {mode: off}", PUBLIC_HUB + "tls: {mode: off}"):
        plan = build(text, "vps")
        assert plan.edge is None
        assert plan.relay is not None
        assert plan.relay.tls is None
        assert plan.urls.trust == ()


@pytest.mark.parametrize(
    ("text", "machine", "names"),
    [
        # The first is the hub's; a device that knows no name uses an address, and the hub's own machine loopback.
        ("reach: lan", "laptop", ["192.168.1.5", "127.0.0.1"]),
        ("reach: lan", "zoo", ["192.168.1.5", "10.0.0.9", "127.0.0.1"]),
        ("reach: lan", "lan-v6", ["fd00::5", "127.0.0.1"]),
        ("reach: lan\ndomain: Hub.Example.com.", "laptop", ["hub.example.com", "192.168.1.5", "127.0.0.1"]),
        ("tls: {mode: internal}", "laptop", ["127.0.0.1"]),
        (PUBLIC_HUB + "tls: {mode: internal}", "home", ["rtc.example.com", "127.0.0.1"]),
        (
            "reach: lan\nturn: {domain: turn.example.com}",
            "laptop",
            ["192.168.1.5", "127.0.0.1", "turn.example.com"],
        ),
        # No other issuer certifies an address.
        (PUBLIC_HUB, "vps", ["rtc.example.com"]),
        (PUBLIC_HUB + "turn: {domain: turn.example.com}", "vps", ["rtc.example.com", "turn.example.com"]),
        (PUBLIC_HUB + "turn: {domain: rtc.example.com}", "vps", ["rtc.example.com"]),
        (PUBLIC_HUB + FILES, "vps", ["rtc.example.com"]),
        ("reach: lan\n" + FILES, "laptop", ["192.168.1.5"]),
        ("reach: lan\ntls: {mode: tailscale}", "tailnet", [TAILNET]),
        ("reach: lan\n" + EXTERNAL, "laptop", ["rtc.example.com"]),
    ],
)
def test_names_are_those_that_a_certificate_can_have(text: str, machine: str, names: list[str]) -> None:
    assert list(edge_of(text, machine).names) == names


@pytest.mark.parametrize(
    ("text", "machine", "listen", "ports"),
    [
        ("tls: {mode: internal}", "laptop", ["127.0.0.1"], (443, 80)),
        ("reach: lan", "laptop", ["192.168.1.5", "127.0.0.1"], (443, 80)),
        ("reach: lan", "zoo", ["192.168.1.5", "10.0.0.9", "127.0.0.1"], (443, 80)),
        ("reach: lan\ntls: {listen: 8443}", "laptop", ["192.168.1.5", "127.0.0.1"], (8443, None)),
        ("reach: lan\ntls: {listen: 8443, http: 8081}", "laptop", ["192.168.1.5", "127.0.0.1"], (8443, 8081)),
        ("reach: lan\ntls: {http: off}", "laptop", ["192.168.1.5", "127.0.0.1"], (443, None)),
        ("reach: lan\ntls: {mode: tailscale}", "tailnet", ["192.168.1.5", "100.64.0.7", "127.0.0.1"], (443, 80)),
        # A public address may change under it.
        (PUBLIC_HUB, "vps", [], (443, 80)),
        (PUBLIC_HUB, "home", [], (443, 80)),
        # The proxy has 443, and is on this machine unless the spec says otherwise.
        ("reach: lan\n" + EXTERNAL, "laptop", ["127.0.0.1"], (7883, None)),
        (PUBLIC_HUB + "tls: {mode: external, listen: 9443}", "vps", ["127.0.0.1"], (9443, None)),
        (PUBLIC_HUB + "tls: {mode: external, trusted_proxies: [10.0.0.0/8]}", "vps", [], (7883, None)),
        (EXTERNAL, "laptop", ["127.0.0.1"], (7883, None)),
    ],
)
def test_edge_listens_where_its_clients_come_from(
    text: str, machine: str, listen: list[str], ports: tuple[int, int | None]
) -> None:
    edge = edge_of(text, machine)
    assert [str(address) for address in edge.bind] == listen
    assert (edge.port, edge.http) == ports


@pytest.mark.parametrize(
    ("text", "machine", "web", "livekit"),
    [
        ("reach: lan", "laptop", "https://192.168.1.5", "wss://192.168.1.5"),
        ("reach: lan", "lan-v6", "https://[fd00::5]", "wss://[fd00::5]"),
        ("reach: lan\ntls: {listen: 8443}", "lan-v6", "https://[fd00::5]:8443", "wss://[fd00::5]:8443"),
        (PUBLIC_HUB, "vps", "https://rtc.example.com", "wss://rtc.example.com"),
        (PUBLIC_HUB + "tls: {listen: 8443}", "vps", "https://rtc.example.com:8443", "wss://rtc.example.com:8443"),
        # People come to the proxy's 443, whatever port it reaches the hub by.
        ("reach: lan\n" + EXTERNAL, "laptop", "https://rtc.example.com", "wss://rtc.example.com"),
        ("reach: lan\ntls: {mode: tailscale}", "tailnet", f"https://{TAILNET}", f"wss://{TAILNET}"),
    ],
)
def test_people_type_one_origin(text: str, machine: str, web: str, livekit: str) -> None:
    urls = build(text, machine).urls
    assert (urls.web, urls.livekit, urls.api) == (web, livekit, f"{web}/api")


def test_hub_without_tls_answers_to_what_people_are_told() -> None:
    """Behind a NAT that is not what it binds."""
    plan = build(PUBLIC_HUB + "tls: {mode: off}", "home")
    assert (plan.urls.web, plan.urls.livekit) == ("http://rtc.example.com:8080", "ws://rtc.example.com:7880")
    assert plan.serve.hosts == ("localhost", "192.168.1.5", "127.0.0.1", "1.2.3.4", "rtc.example.com")
    local = build("domain: rtc.example.com")
    assert (local.urls.web, local.serve.hosts) == ("http://127.0.0.1:8080", ("localhost", "127.0.0.1"))


@pytest.mark.parametrize(
    ("text", "machine", "authorities"),
    [
        (PUBLIC_HUB, "vps", {"rtc.example.com", "rtc.example.com:443", "rtc.example.com:80"}),
        (PUBLIC_HUB + "tls: {listen: 8443}", "vps", {"rtc.example.com:8443"}),
        (
            PUBLIC_HUB + "tls: {listen: 8443, http: 80}",
            "vps",
            {"rtc.example.com", "rtc.example.com:80", "rtc.example.com:8443"},
        ),
        (
            "reach: lan\ntls: {http: off}",
            "lan-v6",
            {"[fd00::5]", "[fd00::5]:443", "127.0.0.1", "127.0.0.1:443"},
        ),
        ("reach: lan\n" + EXTERNAL, "laptop", {"rtc.example.com", "rtc.example.com:443"}),
    ],
)
def test_requests_may_name_what_browsers_make_of_the_origin(text: str, machine: str, authorities: set[str]) -> None:
    """A default port may be left out, another one may not."""
    plan = build(text, machine)
    assert set(plan.serve.authorities) == authorities
    assert plan.edge is not None
    assert plan.serve.authorities == list_authorities(plan.edge)


@pytest.mark.parametrize(
    ("text", "machine", "trust"),
    [
        (
            "reach: lan",
            "laptop",
            ["http://192.168.1.5/trust", "https://192.168.1.5/trust"],
        ),
        (
            "reach: lan\ndomain: hub.example.com\ntls: {listen: 8443, http: 8081}",
            "lan-v6",
            [
                *("http://hub.example.com:8081/trust", "http://[fd00::5]:8081/trust"),
                *("https://hub.example.com:8443/trust", "https://[fd00::5]:8443/trust"),
            ],
        ),
        ("reach: lan\ntls: {http: off}", "laptop", ["https://192.168.1.5/trust"]),
        ("tls: {mode: internal}", "laptop", ["http://127.0.0.1/trust", "https://127.0.0.1/trust"]),
        (PUBLIC_HUB, "vps", []),
        ("reach: lan\n" + FILES, "laptop", []),
    ],
)
def test_root_is_found_over_plain_http_first(text: str, machine: str, trust: list[str]) -> None:
    assert list(build(text, machine).urls.trust) == trust


@pytest.mark.parametrize(
    ("text", "machine", "told"),
    [
        ("reach: lan", "laptop", ("192.168.1.5", 443)),
        ("reach: lan", "lan-v6", ("fd00::5", 443)),
        ("reach: lan\ntls: {listen: 8443}", "laptop", ("192.168.1.5", 8443)),
        (PUBLIC_HUB, "vps", ("rtc.example.com", 443)),
        (PUBLIC_HUB + "turn: {udp: off}", "vps", ("rtc.example.com", 443)),
        (PUBLIC_HUB + "turn: {domain: turn.example.com}", "vps", ("turn.example.com", 443)),
        (PUBLIC_HUB + "turn: {tls: false}", "vps", None),
        ("reach: lan\ntls: {mode: tailscale}", "tailnet", (TAILNET, 443)),
        # An HTTP proxy can't carry it.
        (PUBLIC_HUB + "tls: {mode: external}", "vps", None),
    ],
)
def test_turn_over_tls_is_at_the_one_name_and_port(text: str, machine: str, told: tuple[str, int] | None) -> None:
    plan = build(text, machine)
    assert plan.relay is not None
    assert plan.relay.tls == told
    assert plan.edge is not None
    assert bool(plan.edge.turn) is (told is not None)


def test_relay_that_is_off_is_off_behind_the_edge_too() -> None:
    plan = build(PUBLIC_HUB + "turn: {enabled: false}", "vps")
    assert plan.relay is None
    assert plan.edge is not None
    assert plan.edge.turn is None


def test_relay_over_tls_alone_listens_nowhere_itself() -> None:
    relay = build(PUBLIC_HUB + "turn: {udp: off}", "vps").relay
    assert relay is not None
    assert (relay.bind, relay.udp) == ((), None)


def test_only_the_proxy_may_say_where_clients_are() -> None:
    assert edge_of(EXTERNAL).trusted_proxies == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    told = edge_of("domain: rtc.example.com\ntls: {mode: external, trusted_proxies: [10.0.0.1]}")
    assert told.trusted_proxies == (ip_network("10.0.0.1/32"),)
    for text in ("reach: lan", PUBLIC_HUB, "reach: lan\n" + FILES):
        assert edge_of(text, "vps").trusted_proxies == ()


def test_files_are_found_from_the_folder_of_the_spec() -> None:
    tls = edge_of("reach: lan\n" + FILES).tls
    assert (tls.mode, tls.cert, tls.key) == ("files", "/etc/lkhub/full.pem", "/keys/key.pem")


# --- what each mode needs, and what it has no use for


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("reach: public", ["reach"]),
        ("reach: public\ntls: {mode: internal}", ["reach"]),
        ("reach: lan\ntls: {mode: acme}", ["tls.mode"]),
        ("tls: {mode: acme}", ["tls.mode"]),
        ("domain: rtc.example.com\ntls: {mode: acme}", ["tls.mode"]),
        ("domain: rtc.example.com\ntls: {mode: acme, issuer: 'https://127.0.0.1:14000/dir'}", []),
        ("tls: {mode: external}", ["tls.mode"]),
        ("tls: {mode: files}", ["tls.mode", "tls.mode"]),
        ("reach: lan\ntls: {mode: files, cert: a.pem}", ["tls.mode"]),
        ("reach: lan\ntls: {cert: a.pem, key: b.pem}", ["tls.cert", "tls.key"]),
        ("reach: lan\ntls: {issuer: zerossl}", ["tls.issuer"]),
        ("tls: {issuer: letsencrypt}", ["tls.issuer"]),
        (PUBLIC_HUB + "tls: {issuer: zerossl}", ["tls.issuer"]),
        (PUBLIC_HUB + "tls: {issuer: google}", ["tls.issuer"]),
        (PUBLIC_HUB + "tls: {issuer: google, email: a@example.com}", ["tls.issuer"]),
        (PUBLIC_HUB + f"tls: {{account: {ACCOUNT}}}", ["tls.account"]),
        (PUBLIC_HUB + f"tls: {{issuer: letsencrypt, account: {ACCOUNT}}}", ["tls.account"]),
        (f"reach: lan\ntls: {{account: {ACCOUNT}}}", ["tls.account"]),
        (f"tls: {{issuer: google, account: {ACCOUNT}}}", ["tls.issuer", "tls.account"]),
        (PUBLIC_HUB + "tls: {issuer: zerossl, email: a@example.com, http: off}", ["tls.issuer"]),
        (PUBLIC_HUB + "tls: {issuer: zerossl, email: a@example.com, listen: 8443}", ["tls.issuer"]),
        ("reach: lan\ntls: {mode: off}\nturn: {domain: turn.example.com}", ["turn.domain"]),
        ("turn: {domain: turn.example.com}", ["turn.domain"]),
    ],
)
def test_what_a_mode_lacks_or_does_not_use_is_a_fault_at_its_key(text: str, faults: list[str]) -> None:
    found = judge(text, MACHINES["vps"]).faults
    assert [fault.key for fault in found] == faults
    assert all(fault.hint for fault in found)


def in_tailnet(name: str | None) -> NetworkFacts:
    return replace(MACHINES["laptop"], looked_up=LookedUp(tailnet=name, no_tailnet=None if name else NO_TAILSCALED))


@pytest.mark.parametrize(
    ("text", "facts", "key", "said"),
    [
        (
            "reach: lan\ntls: {mode: tailscale}",
            in_tailnet(None),
            "tls.mode",
            "tailscaled is not running",
        ),
        ("reach: lan\ndomain: a.example.com\ntls: {mode: tailscale}", in_tailnet(TAILNET), "domain", "not this node's"),
        ("tls: {mode: tailscale}", in_tailnet(TAILNET), "tls.mode", "only the devices of the tailnet"),
        ("reach: public\ntls: {mode: tailscale}", in_tailnet(TAILNET), "tls.mode", "only the devices of the tailnet"),
        (
            "reach: public\ndomain: a.example.com\ntls: {mode: tailscale}",
            in_tailnet(None),
            "tls.mode",
            "only the devices of the tailnet",
        ),
        (
            "reach: lan\ntls: {mode: tailscale}\nturn: {domain: turn.example.com}",
            in_tailnet(TAILNET),
            "turn.domain",
            "one name",
        ),
    ],
)
def test_tailnet_has_its_own_conditions(text: str, facts: NetworkFacts, key: str, said: str) -> None:
    faults = {fault.key: fault for fault in judge(text, facts).faults}
    assert said in faults[key].title
    assert faults[key].hint


def test_name_of_the_node_may_stand_in_the_spec() -> None:
    text = f"reach: lan\ndomain: {TAILNET}\ntls: {{mode: tailscale}}"
    assert judge(text, in_tailnet(TAILNET)).faults == []


# --- how the hub's own programs get to it


@pytest.mark.parametrize(
    ("text", "machine", "overrides"),
    [
        ("", "laptop", {}),
        ("reach: lan", "laptop", {}),
        ("reach: lan\ndomain: hub.example.com", "laptop", {"hub.example.com": "127.0.0.1"}),
        ("reach: lan\ntls: {mode: tailscale}", "tailnet", {TAILNET: "127.0.0.1"}),
        (PUBLIC_HUB, "vps", {"rtc.example.com": "127.0.0.1"}),
        (PUBLIC_HUB, "home", {"rtc.example.com": "127.0.0.1", "1.2.3.4": "192.168.1.5"}),
        (
            PUBLIC_HUB + "turn: {domain: turn.example.com}",
            "home-dual",
            {"rtc.example.com": "127.0.0.1", "turn.example.com": "127.0.0.1", "1.2.3.4": "192.168.1.6"},
        ),
        # The proxy is asked as clients ask it.
        ("reach: lan\n" + EXTERNAL, "laptop", {}),
        (PUBLIC_HUB + "tls: {mode: external}", "home", {"1.2.3.4": "192.168.1.5"}),
        (PUBLIC_HUB + "tls: {mode: off}", "home", {"1.2.3.4": "192.168.1.5"}),
    ],
)
def test_names_and_public_addresses_resolve_to_this_machine(text: str, machine: str, overrides: dict[str, str]) -> None:
    """A router may not let its own network's packets back in."""
    assert build(text, machine).resolve == overrides


@pytest.mark.parametrize(
    ("text", "machine", "sockets"),
    [
        (PUBLIC_HUB, "vps", {("", 443), ("", 80)}),
        ("reach: lan", "laptop", {(address, port) for address in ("192.168.1.5", "127.0.0.1") for port in (443, 80)}),
        (PUBLIC_HUB + "tls: {mode: external}", "vps", {("127.0.0.1", 7883)}),
        (
            PUBLIC_HUB + "tls: {mode: external, cert: /c, key: /k}\nturn: {listen: 5349}\n",
            "vps",
            {("127.0.0.1", 7883), ("", 5349)},
        ),
    ],
)
def test_the_supervisor_keeps_the_edges_ports_open(text: str, machine: str, sockets: set[tuple[str, int]]) -> None:
    [edge] = [process for process in build(text, machine).processes if process.name == "edge"]
    assert set(edge.listens) == sockets
