"""How caddy.json handles requests, with TLS and on port 80."""

import json
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.render.caddy import HANDSHAKE, render_caddy
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES
from tests.render.edges import BEHIND_PROXY, EVERY, PUBLIC_HUB, WITH_TLS, list_handlers, plan_of, render


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
    bounds, strip, *_ = hub_routes(hub)
    assert bounds["handle"][0]["handler"] == "lkhub_requests"
    deleted = strip["handle"][0]["request"]["delete"]
    assert "match" not in strip
    assert {"CF-Connecting-IP", "X-Real-IP", "True-Client-IP", "Forwarded", "X-Forwarded-*"} <= set(deleted)
    for proxy in list_handlers(hub_routes(hub), "reverse_proxy"):
        assert proxy["headers"]["request"]["set"] == {"X-Forwarded-Proto": ["https"]}


@BEHIND_PROXY
def test_behind_a_proxy_only_the_proxy_is_let_in_and_believed(hub: str) -> None:
    plan = plan_of(hub)
    assert plan.edge is not None
    trusted = [str(network) for network in plan.edge.trusted_proxies]
    _, refuse, strip, *_ = hub_routes(hub)
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
def test_what_restarts_is_waited_for(hub: str) -> None:
    proxies = list_handlers(render(hub), "reverse_proxy")
    assert {proxy["upstreams"][0]["dial"].rpartition(":")[2] for proxy in proxies} == {"7880", "8080"}
    for proxy in proxies:
        assert proxy["load_balancing"]["try_duration"] == "5s"
        if proxy["upstreams"][0]["dial"].endswith(":8080"):
            assert proxy["transport"]["response_header_timeout"] == "8s", "a service that hangs is given up"


@EVERY
def test_process_that_does_not_come_back_is_reported_in_words(hub: str) -> None:
    """To people on a page that asks again by itself, to programs in the one shape of errors."""
    for server in render(hub)["apps"]["http"]["servers"].values():
        if not list_handlers(server["routes"], "reverse_proxy"):
            assert "errors" not in server, "nobody is asked, so nobody fails to answer"
            continue
        for_people, for_programs = server["errors"]["routes"]
        [page], [error] = for_people["handle"], for_programs["handle"]
        assert for_people["terminal"] is True
        assert for_people["match"][0]["header"] == {"Accept": ["*text/html*"]}
        assert '<meta http-equiv="refresh"' in page["body"]
        assert json.loads(error["body"])["error"]["code"] == "unavailable"
        for answer in (page, error):
            assert answer["status_code"] == "{http.error.status_code}"
            assert answer["headers"]["Cache-Control"] == ["no-store"]


@EVERY
def test_sockets_of_media_outlive_a_reload(hub: str) -> None:
    [media] = [
        p for p in list_handlers(hub_routes(hub), "reverse_proxy") if p["upstreams"][0]["dial"].endswith(":7880")
    ]
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
        # No request is redirected to a name that is not the hub's.
        (PUBLIC_HUB, "vps", "evil.example", "https://rtc.example.com"),
        ("reach: lan\ndomain: hub.example.com", "laptop", "evil.example", "https://hub.example.com"),
    ],
)
def test_plain_http_leads_to_https_at_the_name_that_was_asked_for(
    text: str, machine: str, host: str, location: str
) -> None:
    plan = build_plan(load_spec(text.encode()), MACHINES[machine], INSTALLATION)
    assert plan is not None
    assert plan.edge is not None
    routes = json.loads(render_caddy(plan, plan.edge).text)["apps"]["http"]["servers"]["plain"]["routes"]
    bounds, *routes = routes
    assert bounds["handle"][0]["handler"] == "lkhub_requests", "a stranger's body is bounded here too"
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
