"""A hub behind each proxy that lkhub has snippets for, and clients on another machine."""

import contextlib
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.hub import make_hub
from tests.kit.netns import dropping
from tests.namespaces.lan import CLIENT, HUB, PORTS, Lan, call_from, make_lan
from tests.namespaces.overhear import find_head, overhear
from tests.namespaces.proxied import NAME, TURN, TURN_NAME, ProxiedHub, ask_stun, make_proxied, write_certificates
from tests.waiting import wait_until

FORGED = "203.0.113.66"


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    """A LAN with two names for the hub in its DNS."""
    with make_lan() as made:
        made.name_hosts({NAME: HUB, TURN_NAME: HUB})
        yield made


@pytest.fixture(scope="module", params=TURN)
def proxied(request: pytest.FixtureRequest, lan: Lan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedHub]:
    """A hub with certificate files for TURN over TLS, and a proxy in front of it."""
    folder = tmp_path_factory.mktemp(request.param)
    write_certificates(folder, NAME, TURN_NAME)
    with make_proxied(lan, request.param, folder, f"cert: {folder}/cert.pem, key: {folder}/key.pem") as made:
        yield made


def test_calls_go_through_the_proxy(proxied: ProxiedHub) -> None:
    client = proxied.client
    with call_from(client, "proxied") as call:
        call.wait_connected("udp", "udp")
    done = client.run("verify", "--url", f"wss://{NAME}", "--json")
    assert done.stdout, done.stderr
    found = {path["path"]: path["ok"] for path in json.loads(done.stdout)["paths"]}
    assert found == dict.fromkeys(("udp", "tcp", "turn-udp", "turn-tls"), True), done.stdout + proxied.proxy.said()


@pytest.mark.parametrize("path", ["/rtc/validate", "/api/health"], ids=["media", "serve"])
def test_the_hub_sees_where_the_client_is_and_believes_nothing_that_it_says(proxied: ProxiedHub, path: str) -> None:
    forged = ["X-Forwarded-For", "CF-Connecting-IP", "True-Client-IP", "X-Real-IP", "X-Client-IP", "Forwarded"]
    options = [part for name in forged for part in ("-H", f"{name}: {FORGED}")]
    with overhear(proxied.lan.hub, "tcp dst port 7880 or tcp dst port 8080") as heard:

        def ask() -> list[tuple[str, str]]:
            # Once more each time: a capture on a busy machine may miss a packet.
            proxied.curl(*options, "-A", f"marked{path}", path)
            return find_head(heard(), f"marked{path}")

        head = wait_until(ask, "the request behind the edge")
    addresses = [value for name, value in head if value in (CLIENT, FORGED) or FORGED in value]
    assert addresses == [CLIENT], head
    assert ("X-Forwarded-For", CLIENT) in head


def test_pages_and_health_are_there_and_what_is_local_is_refused(proxied: ProxiedHub) -> None:
    assert "<html" in proxied.curl("/")
    assert json.loads(proxied.curl("/api/health"))
    asked = ["-X", "POST", "-H", "Content-Type: application/json", "-d", '{"room": "r"}']
    assert proxied.curl(*asked, "-o", "/dev/null", "-w", "%{http_code}", "/api/livekit/token") == "403"


def test_plain_http_leads_to_https(proxied: ProxiedHub) -> None:
    answer = proxied.curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "/join/a", url=f"http://{NAME}")
    assert answer in (f"301 https://{NAME}/join/a", f"308 https://{NAME}/join/a")


def test_what_is_too_large_is_refused(proxied: ProxiedHub, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (1 << 20) + b"x")
    asked = ["--http1.1", "-X", "POST", "--data-binary", f"@{tmp_path}/large", "-o", "/dev/null", "-w", "%{http_code}"]

    def ask() -> str:
        # A server that refuses while the body still arrives closes the connection, and its answer may be lost (RFC
        # 9112, 9.6).
        with contextlib.suppress(AssertionError):
            return proxied.curl(*asked, "/twirp/livekit.RoomService/ListRooms")
        return ""

    assert wait_until(ask, "an answer to what is too large") == "413"


def test_no_token_is_in_a_log(proxied: ProxiedHub) -> None:
    """Neither if the request succeeds, nor if the hub does not answer."""
    ask = ("-o", "/dev/null", "-w", "%{http_code}", "/rtc/v1?access_token=CANARY")
    assert proxied.curl(*ask) == "401"
    with dropping(proxied.lan.hub, "iifname lo tcp dport 7883", verdict="reject with tcp reset"):
        assert proxied.curl(*ask) in ("502", "503")
    assert "CANARY" not in proxied.proxy.said()
    assert not any("CANARY" in proxied.hub.log(name) for name in ("edge", "media", "serve"))


@pytest.mark.case("turn-behind-stream-proxy")
@pytest.mark.parametrize("proxied", ["nginx", "haproxy", "traefik"], indirect=True)
def test_the_relay_sees_where_the_client_is_through_the_split_by_name(proxied: ProxiedHub) -> None:
    assert ask_stun(proxied, TURN_NAME, 443) == {"mapped": CLIENT}


@pytest.mark.parametrize("proxied", ["caddy"], indirect=True)
def test_the_relay_is_reached_past_a_proxy_and_believes_no_stranger(proxied: ProxiedHub) -> None:
    assert ask_stun(proxied, NAME, 5349) == {"mapped": CLIENT}
    header = f"PROXY TCP4 {FORGED} {HUB} 1000 5349\r\n"
    assert ask_stun(proxied, NAME, 5349, header) == {"refused": True}


def test_a_stranger_is_refused_where_the_proxy_comes_in() -> None:
    spec = f"""
        reach: lan
        domain: {NAME}
        media: {{advertise: {HUB}}}
        tls: {{mode: external, trusted_proxies: [198.18.0.9]}}
        """
    with make_lan() as lan, make_hub(lan.hub.prefix, PORTS) as hub:
        hub.spec.write_text(textwrap.dedent(spec))
        hub.up("--no-verify")
        argv = ["curl", "-sS", "-H", f"Host: {NAME}", "-H", "X-Forwarded-For: 198.18.0.9", "-w", "%{http_code}"]
        answer = lan.client.run(*argv, f"http://{HUB}:7883/rtc/validate")
        body, _, status = answer.rpartition("\n")
        message = f"this port is for the proxy in front; {CLIENT} is not in tls.trusted_proxies"
        assert (json.loads(body), status) == ({"error": {"code": "not-from-proxy", "message": message}}, "403")
        lan.client.add_address("lan0", "198.18.0.9/24")
        assert "401" in lan.client.run(*argv, "--interface", "198.18.0.9", f"http://{HUB}:7883/rtc/validate")
