"""A hub behind an nginx that was configured by hand (tls.mode: external)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.field.nginx import OTHER_SITE, REDIRECT, nginx
from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import HUB, PORTS, Lan, call_from, on_client
from tests.namespaces.proxied import NAME, TURN_NAME, write_certificates
from tests.waiting import wait_until

UPSTREAM = "127.0.0.1:7883"

WEBSOCKET = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
"""
HOST = "proxy_set_header Host $host;"
FORWARDED = "proxy_set_header X-Forwarded-For $remote_addr;"


def lead(to: str, *lines: str, location: str = "/") -> str:
    return f"location {location} {{ proxy_pass http://{to}; {' '.join(lines)} }}"


@dataclass(frozen=True)
class Behind:
    """A hub for which the test configures a proxy."""

    lan: Lan
    hub: Hub
    folder: Path

    def judge(
        self, body: str, *arguments: str, certificate: str = "cert", stream: str = "", plain: str = REDIRECT
    ) -> tuple[int, str]:
        """The exit code of `verify` and all that a person reads of it, on one line."""
        with nginx(self.lan.hub, self.folder, certificate, body, stream, plain):
            done = self.hub.run("verify", *(arguments or ("--path", "udp")))
        text = " ".join((done.stdout + done.stderr).split())
        assert "eyJ" not in text, "a token"
        return done.returncode, text


@pytest.fixture(scope="module")
def behind(lan: Lan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("proxy")
    lan.name_hosts({NAME: HUB, TURN_NAME: HUB})
    write_certificates(folder, NAME, TURN_NAME)
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.environ["SSL_CERT_FILE"] = str(folder / "root.pem")
        hub.spec.write_text(
            f"reach: lan\ndomain: {NAME}\nmedia: {{advertise: {HUB}}}\n"
            f"turn: {{domain: {TURN_NAME}, listen: 5349, port: 443}}\n"
            f"tls: {{mode: external, cert: {folder}/cert.pem, key: {folder}/key.pem}}\n"
        )
        hub.up("--no-verify")
        yield Behind(lan, hub, folder)


def test_proxy_that_does_all_is_well(behind: Behind) -> None:
    """The others fail for what they lack, and for nothing else."""
    code, text = behind.judge(lead(UPSTREAM, WEBSOCKET, HOST))
    assert code == 0, text


@pytest.mark.case("proxy-loses-host")
def test_proxy_that_loses_the_host(behind: Behind) -> None:
    code, text = behind.judge(lead(UPSTREAM, WEBSOCKET))
    assert code == 1
    assert f"sends another Host than {NAME}" in text, text
    assert "proxy_set_header Host $host;" in text
    assert UPSTREAM in text, "the host that it was asked for"
    assert "status` shows" not in text


@pytest.mark.case("proxy-to-web-port")
@pytest.mark.parametrize("lines", [(WEBSOCKET,), (WEBSOCKET, HOST)], ids=["by-address", "by-name"])
def test_proxy_that_leads_to_the_web_port(behind: Behind, lines: tuple[str, ...]) -> None:
    code, text = behind.judge(lead("127.0.0.1:8080", *lines))
    assert code == 1
    assert "web application (127.0.0.1:8080)" in text, text
    assert f"proxy_pass http://{UPSTREAM};" in text


@pytest.mark.case("proxy-502")
def test_proxy_that_leads_where_nothing_is(behind: Behind) -> None:
    code, text = behind.judge(lead("127.0.0.1:9999", WEBSOCKET, HOST))
    assert code == 1
    assert f"answers 502 itself: it does not reach the hub at its upstream address, {UPSTREAM}" in text, text
    assert "<" not in text, "markup"
    assert f"proxy_pass http://{UPSTREAM};" in text


@pytest.mark.case("login-wall-in-front")
@pytest.mark.parametrize(
    "answer", ["401", "302 https://auth.example.com/?rd=x", "403"], ids=["page", "redirect", "filter"]
)
def test_login_in_front(behind: Behind, answer: str) -> None:
    code, text = behind.judge(f"location / {{ return {answer}; }}")
    assert code == 1
    assert "/rtc, /twirp, /agent and /whip" in text, text
    assert "LIVEKIT_URL" not in text, "the address is right"
    assert "take key and secret" not in text, "so is the key"
    assert ("auth.example.com" in text) is answer.startswith("302")


@pytest.mark.parametrize(
    "lines",
    [(HOST,), (HOST, "proxy_http_version 1.1;")],
    ids=["http-1.0", "no-upgrade"],
)
def test_proxy_that_does_not_upgrade(behind: Behind, lines: tuple[str, ...]) -> None:
    code, text = behind.judge(lead(UPSTREAM, *lines))
    assert code == 1
    assert "HTTP gets through and the WebSocket does not" in text, text
    assert "proxy_set_header Upgrade $http_upgrade;" in text


def test_proxy_that_leads_to_another_site(behind: Behind) -> None:
    code, text = behind.judge(OTHER_SITE)
    assert code == 1
    assert "My cloud" in text
    assert f"proxy_pass http://{UPSTREAM};" in text
    assert "from / on" in text


@pytest.mark.parametrize("to", [UPSTREAM, f"{UPSTREAM}/"], ids=["kept", "taken-away"])
def test_hub_below_a_path_is_refused_with_the_reason(behind: Behind, to: str) -> None:
    code, text = behind.judge(lead(to, WEBSOCKET, HOST, location="/livekit/") + OTHER_SITE)
    assert code == 1
    assert "pages, API and tokens use the name without a path" in text, text


@pytest.mark.case("sdk-url-with-path")
def test_livekit_below_a_path_that_the_proxy_takes_away_is_reached(behind: Behind) -> None:
    body = lead(f"{UPSTREAM}/", WEBSOCKET, HOST, location="/livekit/") + OTHER_SITE
    behind.hub.environ |= behind.hub.env()
    code, text = behind.judge(body, "--url", f"wss://{NAME}/livekit", "--path", "udp")
    assert code == 0, text
    body = lead(UPSTREAM, WEBSOCKET, HOST, location="/livekit/") + OTHER_SITE
    code, text = behind.judge(body, "--url", f"wss://{NAME}/livekit", "--path", "udp")
    assert code == 1
    assert "does not remove the path" in text, text


@pytest.mark.case("plain-port-with-wss")
def test_ws_where_only_wss_is(behind: Behind) -> None:
    behind.hub.environ |= behind.hub.env()
    code, text = behind.judge(lead(UPSTREAM, WEBSOCKET, HOST), "--url", f"ws://{NAME}", "--path", "udp")
    assert code == 1
    assert f"use wss://{NAME}" in text, text
    assert "access_token" not in text
    assert "?" not in text.partition("fix:")[0], "a long query"


def test_page_that_leads_elsewhere_is_no_success(behind: Behind) -> None:
    """Signalling alone is handed on: calls of applications get through, and the join link opens another site."""
    rtc = "".join(lead(UPSTREAM, WEBSOCKET, HOST, location=path) for path in ("/rtc", "/twirp"))
    code, text = behind.judge(rtc + OTHER_SITE, "--spec", str(behind.hub.spec))
    assert code == 1
    assert "[page-fails]" in text, text
    assert "My cloud" in text
    assert "[api-fails]" not in text
    assert f"proxy_pass http://{UPSTREAM};" in text


@pytest.mark.case("stream-without-proxy-protocol")
def test_stream_that_does_not_say_where_clients_are(behind: Behind) -> None:
    split = f"""
        map $ssl_preread_server_name $b {{ {TURN_NAME} 127.0.0.1:5349; default 127.0.0.1:8443; }}
        server {{ listen 443; ssl_preread on; proxy_pass $b; %s }}
    """
    body = lead(UPSTREAM, WEBSOCKET, HOST)
    code, text = behind.judge(body, "--path", "turn-tls", stream=split % "")
    assert code == 1
    assert f"the proxy at 127.0.0.1 forwards {TURN_NAME} to 127.0.0.1:5349 without the PROXY protocol" in text, text
    assert "proxy_protocol on;" in text
    assert "certificate" not in text.partition("fix:")[0], "it was never shown"


def test_stream_that_says_where_clients_are_to_a_web_server_that_does_not_expect_it(behind: Behind) -> None:
    split = f"""
        map $ssl_preread_server_name $b {{ {TURN_NAME} 127.0.0.1:5349; default 127.0.0.1:8443; }}
        server {{ listen 443; ssl_preread on; proxy_pass $b; proxy_protocol on; }}
    """
    code, text = behind.judge(lead(UPSTREAM, WEBSOCKET, HOST), stream=split)
    assert code == 1
    assert "nginx `listen 8443 ssl proxy_protocol;`" in text, text


def test_proxy_that_sends_the_proxy_protocol_to_the_upstream_address(behind: Behind) -> None:
    """`send-proxy` to plain HTTP: nginx sends it out of a stream server alone. The edge refuses and closes. nginx
    forwards the refusal, answers 502, or closes, depending on what it has read until then."""
    to_upstream = "server { listen 127.0.0.1:7884; proxy_pass 127.0.0.1:7883; proxy_protocol on; }"
    split = f"server {{ listen 443; proxy_pass 127.0.0.1:8443; }} {to_upstream}"
    code, text = behind.judge(lead("127.0.0.1:7884", WEBSOCKET, HOST), stream=split)
    assert code == 1
    assert "without the PROXY protocol (HAProxy `send-proxy`" in text, text
    assert UPSTREAM in text


@pytest.mark.parametrize(
    ("plain", "severity", "why"),
    [
        ("return 308 https://$host$request_uri;", "", ""),
        ("return 404;", "warning", "do not get to the hub"),
        ("return 301 https://www.example.com/;", "warning", "do not get to the hub"),
        (lead(UPSTREAM, WEBSOCKET, HOST, FORWARDED), "warning", "neither camera nor microphone"),
        ("", "info", "tries HTTPS by itself"),
    ],
    ids=["redirect", "nothing-there", "elsewhere", "without-tls", "closed"],
)
def test_plain_http_at_the_hubs_name(behind: Behind, plain: str, severity: str, why: str) -> None:
    _, text = behind.judge(lead(UPSTREAM, WEBSOCKET, HOST, FORWARDED), "--spec", str(behind.hub.spec), plain=plain)
    assert ("[http-not-redirected]" in text) is bool(severity), text
    if severity:
        assert f"{severity}: plain HTTP at the hub's name does not lead to HTTPS" in text
        assert why in text
    assert "[client-address-lost]" not in text


@pytest.mark.parametrize("forwarded", [True, False])
def test_proxy_that_does_not_say_where_clients_are(behind: Behind, forwarded: bool) -> None:
    body = lead(UPSTREAM, WEBSOCKET, HOST, *([FORWARDED] if forwarded else []))
    _, text = behind.judge(body, "--spec", str(behind.hub.spec))
    title = "the proxy does not tell the hub the addresses of clients"
    assert (f"warning: {title} [client-address-lost]" in text) is not forwarded, text
    assert ("all of them are at 127.0.0.1" in text) is not forwarded
    assert ("nginx `proxy_set_header X-Forwarded-For $remote_addr;`" in text) is not forwarded


@pytest.mark.case("wrong-key")
def test_key_of_another_server(behind: Behind) -> None:
    behind.hub.environ |= {"LIVEKIT_API_KEY": "APIother", "LIVEKIT_API_SECRET": "x" * 40}
    try:
        code, text = behind.judge(lead(UPSTREAM, WEBSOCKET, HOST), "--url", f"wss://{NAME}", "--path", "udp")
    finally:
        behind.hub.environ |= behind.hub.env()
    assert code == 1
    assert "does not know the key APIother" in text, text
    assert "fix: take key and secret from the hub itself: `lkhub env`" in text


@pytest.mark.parametrize("secret", ["x" * 40])
def test_secret_of_another_server(behind: Behind, secret: str) -> None:
    right = behind.hub.env()
    behind.hub.environ |= right | {"LIVEKIT_API_SECRET": secret}
    try:
        code, text = behind.judge(lead(UPSTREAM, WEBSOCKET, HOST), "--url", f"wss://{NAME}", "--path", "udp")
    finally:
        behind.hub.environ |= right
    assert code == 1
    assert "the server knows the key, with another secret" in text, text


def test_proxy_that_drops_the_token(behind: Behind) -> None:
    code, text = behind.judge(lead(UPSTREAM, WEBSOCKET, HOST, 'proxy_set_header Authorization "";'))
    assert code == 1
    assert "drops the header Authorization" in text, text
    assert "take key and secret" not in text


@pytest.mark.case("idle-proxy-timeout")
def test_proxy_that_ends_silent_websockets(behind: Behind) -> None:
    """Signalling is never silent for so long."""
    times = "proxy_read_timeout 8s; proxy_send_timeout 8s;"
    behind.hub.environ |= behind.hub.env()
    with nginx(behind.lan.hub, behind.folder, "cert", lead(UPSTREAM, WEBSOCKET, HOST, times)):
        client = on_client(behind.hub, behind.lan.client)
        client.environ["SSL_CERT_FILE"] = str(behind.folder / "root.pem")
        with call_from(client, "idle") as call:
            call.wait_connected("udp", "udp")
            call.watch()
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 20, "two and a half times the limit")
            longest, ended = call.disturbance()
    assert (longest < 2, ended) == (True, 0), longest
