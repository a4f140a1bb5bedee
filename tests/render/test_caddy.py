"""What must hold of caddy.json in every mode. The whole text of each is in tests/golden/hubs."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan, in_url
from lkhub.render.caddy import CONNECTIONS_PER_ADDRESS, HANDSHAKE, STUN_START, render_caddy
from lkhub.spec.load import load_spec
from tests.machines import MACHINES

STATE = "/var/lib/lkhub"
AUTHORITY = "lkhub-0123456789ab"
PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"
EXTERNAL = "tls: {mode: external}\n"
FILES = "tls: {mode: files, cert: full.pem, key: /keys/key.pem}\n"
BESIDE = "tls: {mode: external, cert: /c.pem, key: /k.pem}\nturn: {listen: 5349}\n"
SPLIT = "tls: {mode: external}\nturn: {listen: 5349, port: 443, domain: turn.example.com}\n"

HUBS = {
    "local-internal": ("tls: {mode: internal}", "laptop"),
    "lan": ("reach: lan", "laptop"),
    "lan-of-two": ("reach: lan", "zoo"),
    "lan-v6": ("reach: lan", "lan-v6"),
    "lan-named": ("reach: lan\ndomain: hub.example.com", "laptop"),
    "lan-8443": ("reach: lan\ntls: {listen: 8443}", "laptop"),
    "lan-files": ("reach: lan\ndomain: hub.example.com\n" + FILES, "laptop"),
    "lan-external": ("reach: lan\ndomain: hub.example.com\n" + EXTERNAL, "laptop"),
    "lan-acme": ("reach: lan\ndomain: hub.example.com\ntls: {mode: acme}", "laptop"),
    "tailscale": ("reach: lan\ntls: {mode: tailscale}", "tailnet"),
    "acme": (PUBLIC_HUB, "vps"),
    "acme-behind-nat": (PUBLIC_HUB + "tls: {email: ops@example.com}", "home"),
    "acme-8443": (PUBLIC_HUB + "tls: {listen: 8443}", "vps"),
    "single-port": (PUBLIC_HUB + "tls: {http: off}\nmedia: {udp: 443, tcp: off}\nturn: {udp: off}", "vps-v4"),
    "turn-domain": (PUBLIC_HUB + "turn: {domain: turn.example.com}", "vps"),
    "no-turn": (PUBLIC_HUB + "turn: {enabled: false}", "vps"),
    "files": (PUBLIC_HUB + FILES, "vps"),
    "external": (PUBLIC_HUB + EXTERNAL, "vps"),
    "external-elsewhere": (PUBLIC_HUB + "tls: {mode: external, trusted_proxies: [10.0.0.0/8]}", "vps"),
    "external-turn-beside": (PUBLIC_HUB + BESIDE, "vps"),
    "external-turn-split": (PUBLIC_HUB + SPLIT, "vps"),
}
EVERY = pytest.mark.parametrize("hub", HUBS)
WITH_TLS = pytest.mark.parametrize("hub", [name for name, (text, _) in HUBS.items() if "external" not in text])
BEHIND_PROXY = pytest.mark.parametrize("hub", [name for name, (text, _) in HUBS.items() if "external" in text])


def plan_of(hub: str) -> Plan:
    text, machine = HUBS[hub]
    loaded = load_spec(text.encode())
    plan = build_plan(loaded, MACHINES[machine])
    assert loaded.faults == []
    assert plan is not None
    assert plan.edge is not None
    return replace(plan, edge=replace(plan.edge, authority=AUTHORITY if plan.edge.tls.mode == "internal" else ""))


def render(hub: str) -> dict[str, Any]:
    plan = plan_of(hub)
    assert plan.edge is not None
    file = render_caddy(plan, plan.edge)
    assert (file.name, file.mode) == ("caddy.json", 0o600)
    config: dict[str, Any] = json.loads(file.text)
    return config


def walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value, however deep, with where it stands."""
    yield path, value
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield from walk(item, (*path, key))


def list_texts(value: Any) -> list[str]:
    return [item for _, item in walk(value) if isinstance(item, str)]


def list_handlers(value: Any, name: str) -> list[dict[str, Any]]:
    return [item for _, item in walk(value) if isinstance(item, dict) and item.get("handler") == name]


# --- what it listens on, writes and asks


@EVERY
def test_it_listens_where_the_plan_says_and_nowhere_else(hub: str) -> None:
    apps = render(hub)["apps"]
    servers = [*apps["http"]["servers"].values(), *apps.get("layer4", {}).get("servers", {}).values()]
    found = {address for server in servers for address in server["listen"]} - {"handover/hub"}
    planned = {
        f"bounded/{in_url(listener.address) if listener.address else ''}:{listener.ports}"
        for listener in plan_of(hub).listeners
        if listener.process == "edge" and listener.protocol == "tcp"
    }
    assert found == planned


@EVERY
def test_it_writes_into_the_state_directory_alone(hub: str) -> None:
    config = render(hub)
    assert config["storage"] == {"module": "file_system", "root": f"{STATE}/caddy"}
    assert config["admin"] == {"disabled": True, "config": {"persist": False}}
    paths = [text for text in list_texts(config) if text.startswith("/") and "." in text.rpartition("/")[2]]
    tls = plan_of(hub).edge
    assert tls is not None
    assert {path for path in paths if not path.startswith(f"{STATE}/")} <= {tls.tls.cert, tls.tls.key}


@EVERY
def test_it_puts_no_root_into_anybodys_store(hub: str) -> None:
    """The app `lkhub` of the engine forbids it besides, and is required."""
    config = render(hub)
    assert "lkhub" in config["apps"]
    authorities = config["apps"].get("pki", {}).get("certificate_authorities", {})
    assert all(authority["install_trust"] is False for authority in authorities.values())
    assert set(authorities) <= {AUTHORITY}, "Caddy keeps what it signed under this id"


@EVERY
def test_it_asks_nobody_but_the_issuers_of_the_plan(hub: str) -> None:
    config = render(hub)
    edge = plan_of(hub).edge
    assert edge is not None
    urls = {text for text in list_texts(config) if re.match(r"https?://", text) and "{http." not in text}
    assert urls == set(edge.tls.issuers)
    tls = config["apps"].get("tls", {"disable_ocsp_stapling": True})
    for part in (tls, *tls.get("automation", {}).get("policies", [])):
        assert part["disable_ocsp_stapling"] is True, "what is loaded and what is automated each have their own"
    dialed = {target for path, target in walk(config) if "dial" in path and isinstance(target, str)}
    assert dialed <= {"127.0.0.1:7880", "127.0.0.1:8080"}


@EVERY
def test_no_address_of_a_call_is_logged(hub: str) -> None:
    """Signalling URLs carry a token."""
    config = render(hub)
    [log] = config["logging"]["logs"].values()
    assert log["encoder"]["fields"]["request>uri"] == {"filter": "delete"}
    assert log["encoder"]["fields"]["request>headers"] == {"filter": "delete"}
    assert log["writer"] == {"output": "stderr"}
    assert not [path for path, _ in walk(config) if path and path[-1] == "logs" and "servers" in path]


@EVERY
def test_no_secret_is_in_it(hub: str) -> None:
    text, machine = HUBS[hub]
    secret = "SECRET" * 8
    keys = f"\nkeys: {{source: {{key: APIkey, secret: {secret}}}}}"
    plan = build_plan(load_spec((text + keys).encode()), MACHINES[machine])
    assert plan is not None
    assert plan.edge is not None
    rendered = render_caddy(plan, plan.edge).text
    assert secret not in rendered
    assert "APIkey" not in rendered


# --- the one port


def front(hub: str) -> list[dict[str, Any]]:
    """The handlers that a connection passes on the port of TLS."""
    [server] = render(hub)["apps"]["layer4"]["servers"].values()
    [route] = server["routes"]
    handlers: list[dict[str, Any]] = route["handle"]
    return handlers


WITH_FRONT = pytest.mark.parametrize(
    "hub", [name for name in HUBS if name not in ("external", "external-elsewhere", "lan-external")]
)


@WITH_FRONT
def test_who_does_not_finish_the_handshake_is_cut_off(hub: str) -> None:
    handlers = front(hub)
    names = [handler["handler"] for handler in handlers]
    assert names[-4:] == ["lkhub_limit", "lkhub_deadline", "tls", "subroute"]
    limit, deadline, _, streams = handlers[-4:]
    assert limit["per_address"] == CONNECTIONS_PER_ADDRESS
    assert deadline["after"] == streams["matching_timeout"] == HANDSHAKE
    for route in streams["routes"]:
        first = route["handle"][0]
        assert first == {"handler": "lkhub_deadline", "after": "0s"}, "a call lasts longer than a handshake"


@WITH_FRONT
def test_client_without_a_server_name_gets_the_hubs_certificate_and_a_foreign_name_gets_none(hub: str) -> None:
    [policy] = next(handler for handler in front(hub) if handler["handler"] == "tls")["connection_policies"]
    plan = plan_of(hub)
    assert plan.edge is not None
    assert plan.edge.turn or "external" not in hub
    own = plan.edge.names[0] if plan.edge.tls.mode != "external" or not plan.edge.turn else plan.edge.turn.host
    assert policy["default_sni"] == own
    assert "fallback_sni" not in policy
    assert set(policy["alpn"]) == {"http/1.1", "stun.turn"}


@WITH_TLS
def test_turn_goes_to_the_relay_and_everything_else_to_http(hub: str) -> None:
    *turn, rest = front(hub)[-1]["routes"]
    assert "match" not in rest, "in the end there is no condition"
    assert rest["handle"][-1] == {"handler": "lkhub_handover", "to": "hub"}
    plan = plan_of(hub)
    assert plan.edge is not None
    assert len(turn) == (1 if plan.edge.turn else 0)
    for route in turn:
        assert route["match"] == [{"regexp": {"pattern": STUN_START, "count": 2}}]
        assert route["handle"][-1] == {"handler": "lkhub_handover", "to": "relay"}
    assert set(render(hub)["apps"]["lkhub"]) == ({"relay"} if turn else set())


@pytest.mark.parametrize("hub", ["external-turn-beside", "external-turn-split"])
def test_port_of_turn_beside_a_proxy_is_for_turn_alone(hub: str) -> None:
    handlers = front(hub)
    believed = handlers[0]
    assert (believed["handler"], believed["fallback_policy"]) == ("proxy_protocol", "REJECT")
    assert believed["allow"] == ["127.0.0.0/8", "::1/128"]
    [route] = handlers[-1]["routes"]
    assert route["match"] == [{"regexp": {"pattern": STUN_START, "count": 2}}]


def is_turn(start: bytes) -> bool:
    """What caddy-l4's matcher says of the first two bytes: Go reads the pattern as Python does."""
    return re.match(STUN_START.encode(), start[:2], re.DOTALL) is not None


@given(st.binary(min_size=2, max_size=40))
def test_two_bytes_decide(start: bytes) -> None:
    assert is_turn(start) is (start[0] == 0 and start[1] < 16)


# RFC 8489 (Binding), RFC 8656 (Allocate to ChannelBind), RFC 6062 (Connect, ConnectionBind).
STUN_METHODS = (0x001, 0x003, 0x004, 0x006, 0x007, 0x008, 0x009, 0x00A, 0x00B)


@given(st.sampled_from(STUN_METHODS), st.integers(0, 0xFFFF), st.binary(min_size=12, max_size=12))
def test_every_request_of_a_turn_client_is_turn(method: int, length: int, transaction: bytes) -> None:
    kind = (method & 0xF80) << 2 | (method & 0x70) << 1 | method & 0xF
    header = kind.to_bytes(2, "big") + length.to_bytes(2, "big") + 0x2112A442.to_bytes(4, "big") + transaction
    assert is_turn(header)


# RFC 9110, section 5.6.2: the first character of a method. Servers skip an empty line in front.
METHODS = st.from_regex(rb"\A(\r\n)?[!#$%&'*+.^_`|~0-9A-Za-z-]+ /", fullmatch=False)


@given(METHODS)
def test_no_http_request_is_turn(start: bytes) -> None:
    assert not is_turn(start)


@pytest.mark.parametrize(
    "start", [b"PRI * HTTP/2.0\r\n", b"GET /rtc HTTP/1.1", b"\x16\x03\x01", b"\x40\x00\x00\x04", b"PROXY "]
)
def test_what_else_comes_over_tls_is_not_turn(start: bytes) -> None:
    """HTTP/2, TLS in TLS, data on a channel that nobody bound, a PROXY header from a client."""
    assert not is_turn(start)


# --- HTTP


def hub_routes(hub: str) -> list[dict[str, Any]]:
    routes: list[dict[str, Any]] = render(hub)["apps"]["http"]["servers"]["hub"]["routes"]
    return routes


def matches(path: str, patterns: list[str]) -> bool:
    """Caddy's path matcher, as far as it is used: a pattern, or its start before `*`."""
    return any(path.startswith(p[:-1]) if p.endswith("*") else path == p for p in patterns)


def find_upstream(routes: list[dict[str, Any]], path: str) -> str:
    """Where a request for the path goes in the end."""
    for route in routes:
        if "match" in route and not any(matches(path, condition.get("path", [])) for condition in route["match"]):
            continue
        for handler in route["handle"]:
            if handler["handler"] == "reverse_proxy":
                return str(handler["upstreams"][0]["dial"])
    return ""


@pytest.mark.parametrize("hub", ["lan", "acme", "external"])
@pytest.mark.parametrize(
    ("path", "media"),
    [
        *((path, True) for path in ("/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate", "/agent", "/whip/x")),
        *((path, True) for path in ("/whip", "/twirp/livekit.RoomService/ListRooms")),
        *((path, False) for path in ("/", "/join/lobby", "/api/hub", "/api/livekit/token", "/assets/x.js", "/hub")),
        *(
            (path, False)
            for path in ("/rtcx", "/agents", "/whipped", "/twirp", "/trust", "/debug/goroutine", "/metrics")
        ),
    ],
)
def test_media_gets_livekits_paths_and_the_service_the_rest(hub: str, path: str, media: bool) -> None:
    assert find_upstream(hub_routes(hub), path) == ("127.0.0.1:7880" if media else "127.0.0.1:8080")


@WITH_TLS
def test_what_clients_say_of_their_address_is_taken_away_first(hub: str) -> None:
    deleted = hub_routes(hub)[0]["handle"][0]["request"]["delete"]
    assert "match" not in hub_routes(hub)[0]
    assert {"CF-Connecting-IP", "X-Real-IP", "True-Client-IP", "Forwarded", "X-Forwarded-*"} <= set(deleted)
    for proxy in list_handlers(hub_routes(hub), "reverse_proxy"):
        assert proxy["headers"]["request"]["set"] == {"X-Forwarded-Proto": ["https"]}


@BEHIND_PROXY
def test_behind_a_proxy_only_the_proxy_is_let_in_and_believed(hub: str) -> None:
    plan = plan_of(hub)
    assert plan.edge is not None
    trusted = [str(network) for network in plan.edge.trusted_proxies]
    refuse, strip, *_ = hub_routes(hub)
    assert refuse["match"] == [{"not": [{"remote_ip": {"ranges": trusted}}]}]
    assert refuse["terminal"] is True
    assert refuse["handle"][0]["status_code"] == 403
    assert {"CF-Connecting-IP", "X-Real-IP", "True-Client-IP", "Forwarded"} <= set(
        strip["handle"][0]["request"]["delete"]
    )
    server = render(hub)["apps"]["http"]["servers"]["hub"]
    assert server["trusted_proxies"] == {"source": "static", "ranges": trusted}
    for proxy in list_handlers(hub_routes(hub), "reverse_proxy"):
        assert proxy["headers"]["request"]["set"] == {"X-Forwarded-For": ["{http.vars.client_ip}"]}


@EVERY
def test_requests_have_limits(hub: str) -> None:
    for server in render(hub)["apps"]["http"]["servers"].values():
        assert server["read_header_timeout"] == HANDSHAKE
        assert server["max_header_bytes"] <= 64 * 1024
        assert server["protocols"] == ["h1"]
        assert server["automatic_https"] == {"disable": True}, "it would open ports and ask issuers by itself"
    for route in hub_routes(hub):
        names = [handler["handler"] for handler in route["handle"]]
        assert "reverse_proxy" not in names or names[0] == "request_body"


@EVERY
def test_media_that_restarts_is_waited_for_and_sockets_outlive_a_reload(hub: str) -> None:
    [media] = [
        p for p in list_handlers(hub_routes(hub), "reverse_proxy") if p["upstreams"][0]["dial"].endswith(":7880")
    ]
    assert media["load_balancing"]["try_duration"] == "5s"
    assert media["stream_close_delay"] == "24h"


@pytest.mark.parametrize(
    ("hub", "told"),
    [
        *(("acme", True), ("files", True), ("lan-files", True), ("acme-behind-nat", True)),
        *(("lan", False), ("tailscale", False), ("acme-8443", False), ("external", False)),
    ],
)
def test_browsers_are_told_to_keep_to_https_only_where_the_name_is_the_hubs_own(hub: str, told: bool) -> None:
    assert ("Strict-Transport-Security" in json.dumps(hub_routes(hub))) is told


# --- port 80


def find_location(routes: list[dict[str, Any]], host: str) -> str:
    """Where a request for this host is sent on to; Caddy's host matcher drops the port and the brackets."""
    for route in routes:
        if "match" not in route or any(host in condition.get("host", []) for condition in route["match"]):
            [answer] = route["handle"]
            assert answer["status_code"] == 308
            return str(answer["headers"]["Location"][0])
    return ""


@pytest.mark.parametrize(
    ("text", "machine", "host", "location"),
    [
        (PUBLIC_HUB, "vps", "rtc.example.com", "https://rtc.example.com"),
        ("reach: lan", "zoo", "10.0.0.9", "https://10.0.0.9"),
        ("reach: lan", "lan-v6", "fd00::5", "https://[fd00::5]"),
        ("reach: lan\ntls: {listen: 8443, http: 8081}", "lan-v6", "fd00::5", "https://[fd00::5]:8443"),
        # Nobody is sent to a name that is not the hub's.
        (PUBLIC_HUB, "vps", "evil.example", "https://rtc.example.com"),
        ("reach: lan\ndomain: hub.example.com", "laptop", "evil.example", "https://hub.example.com"),
    ],
)
def test_plain_http_leads_to_https_at_the_name_that_was_asked_for(
    text: str, machine: str, host: str, location: str
) -> None:
    plan = build_plan(load_spec(text.encode()), MACHINES[machine])
    assert plan is not None
    assert plan.edge is not None
    routes = json.loads(render_caddy(plan, plan.edge).text)["apps"]["http"]["servers"]["plain"]["routes"]
    redirects = [route for route in routes if not any("path" in condition for condition in route.get("match", []))]
    assert find_location(redirects, host) == location + "{http.request.uri}"


@pytest.mark.parametrize(
    ("hub", "paths"),
    [
        ("lan", ["/trust", "/trust/root.crt"]),
        ("local-internal", ["/trust"]),
        ("acme", []),
        ("files", []),
        ("tailscale", []),
    ],
)
def test_root_is_all_that_plain_http_serves(hub: str, paths: list[str]) -> None:
    routes = render(hub)["apps"]["http"]["servers"]["plain"]["routes"]
    for path in paths:
        assert find_upstream(routes, path) == "127.0.0.1:8080"
    for path in ("/", "/trusted", "/api/livekit/token", "/rtc"):
        assert find_upstream(routes, path) == ""
    for proxied in (route for route in routes if len(route["handle"]) > 1):
        strip, proxy = proxied["handle"]
        assert "X-Forwarded-*" in strip["request"]["delete"]
        assert "headers" not in proxy, "it is not HTTPS"


# --- who certifies


@pytest.mark.parametrize("hub", ["lan", "lan-named", "local-internal", "lan-v6"])
def test_own_authority_signs_every_name(hub: str) -> None:
    apps = render(hub)["apps"]
    edge = plan_of(hub).edge
    assert edge is not None
    assert apps["tls"]["certificates"]["automate"] == list(edge.names)
    [policy] = apps["tls"]["automation"]["policies"]
    assert policy["subjects"] == list(edge.names)
    assert policy["issuers"] == [{"module": "internal", "ca": AUTHORITY}]
    root = apps["pki"]["certificate_authorities"][AUTHORITY]["root"]
    assert (root["certificate"], root["private_key"]) == (f"{STATE}/ca/root.crt", f"{STATE}/ca/root.key")


@pytest.mark.parametrize(
    ("hub", "challenges"),
    [
        ("acme", {"tls-alpn": {"alternate_port": 443}, "http": {"alternate_port": 80}}),
        ("acme-8443", {"tls-alpn": {"alternate_port": 8443}, "http": {"disabled": True}}),
        ("single-port", {"tls-alpn": {"alternate_port": 443}, "http": {"disabled": True}}),
        # The proxy hands both on.
        (
            "external-turn-split",
            {"tls-alpn": {"alternate_port": 5349}, "http": {"alternate_port": 7883}, "bind_host": "127.0.0.1"},
        ),
        (
            "lan-acme",
            {"tls-alpn": {"alternate_port": 443}, "http": {"alternate_port": 80}, "bind_host": "192.168.1.5"},
        ),
    ],
)
def test_challenges_are_answered_on_the_ports_that_are_there(hub: str, challenges: dict[str, Any]) -> None:
    """Otherwise certmagic opens 443 and 80 by itself."""
    [policy] = render(hub)["apps"]["tls"]["automation"]["policies"]
    for issuer in policy["issuers"]:
        assert issuer["module"] == "acme"
        assert issuer["challenges"] == challenges


def test_issuers_are_asked_in_the_order_of_the_plan_with_the_email() -> None:
    [policy] = render("acme-behind-nat")["apps"]["tls"]["automation"]["policies"]
    edge = plan_of("acme-behind-nat").edge
    assert edge is not None
    assert [issuer["ca"] for issuer in policy["issuers"]] == list(edge.tls.issuers)
    assert {issuer["email"] for issuer in policy["issuers"]} == {"ops@example.com"}


@pytest.mark.parametrize("hub", ["files", "lan-files", "external-turn-beside"])
def test_given_files_are_all_that_is_used(hub: str) -> None:
    tls = render(hub)["apps"]["tls"]
    edge = plan_of(hub).edge
    assert edge is not None
    assert tls["certificates"] == {"load_files": [{"certificate": edge.tls.cert, "key": edge.tls.key}]}
    assert "automation" not in tls


def test_tailscale_is_asked_for_its_own_name() -> None:
    tls = render("tailscale")["apps"]["tls"]
    [policy] = tls["automation"]["policies"]
    assert policy["subjects"] == ["laptop.tail1234.ts.net"], "with another beside it Caddy's own issuers come in"
    assert policy["get_certificate"] == [{"via": "tailscale"}]
    assert tls["automation"]["on_demand"] == {"permission": {"module": "lkhub_never"}}
    assert "certificates" not in tls


@pytest.mark.parametrize("hub", ["external", "external-elsewhere", "lan-external"])
def test_who_is_behind_a_proxy_needs_no_certificate(hub: str) -> None:
    assert set(render(hub)["apps"]) == {"lkhub", "http"}


def test_split_by_name_has_a_certificate_for_turn_alone() -> None:
    assert render("external-turn-split")["apps"]["tls"]["certificates"]["automate"] == ["turn.example.com"]


@EVERY
def test_same_plan_gives_the_same_text(hub: str) -> None:
    assert render(hub) == render(hub)
