"""What is open on loopback is not open through the hub's edge, and no token gets into a log."""

import contextlib
import os
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.kit.hub import Hub, free_ports, make_hub
from tests.waiting import wait_until

CANARY = "CANARY0123456789"

# URL paths with internal information, which the hub must not give to clients outside.
INSIDE = (
    "/metrics",
    "/api/metrics",
    "/debug/pprof/",
    "/debug/vars",
    "/debug/goroutine",
    "/config/",
    "/status",
    "/ready",
)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub for this machine only, with TLS, that gives out no tokens."""
    with make_hub(ports=free_ports()) as made:
        made.write_spec(made.tls_lines)
        made.up("--no-verify")
        yield made


@pytest.fixture
def edge(hub: Hub) -> Iterator[httpx.Client]:
    """A client that trusts the hub and connects through its edge."""
    context = ssl.create_default_context(cafile=hub.state / "ca" / "root.crt")
    with httpx.Client(base_url=f"https://127.0.0.1:{hub.ports['https']}", verify=context, trust_env=False) as client:
        yield client


def test_pages_and_signalling_are_there(edge: httpx.Client) -> None:
    """Else the refusals below would prove nothing."""
    assert "<html" in edge.get("/join/lobby").text
    assert edge.get("/rtc/v1/validate").status_code == 401
    assert edge.get("/api/health").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/trust/", "/api/hub/", "/assets"])
def test_a_redirect_stays_with_tls(edge: httpx.Client, path: str) -> None:
    answer = edge.get(path, follow_redirects=True)
    assert [each.status_code for each in answer.history] == [307]
    assert answer.url.scheme == "https"
    assert answer.url.host == edge.base_url.host


def test_the_token_endpoint_is_closed_through_the_edge(edge: httpx.Client) -> None:
    answer = edge.post("/api/livekit/token", json={"room": "r"})
    assert answer.status_code == 403
    assert "eyJ" not in answer.text


def test_offer_of_another_protocol_changes_no_answer(edge: httpx.Client) -> None:
    """Without TLS, Java's HttpClient makes it with each request, and a proxy in front may pass it on."""
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQAoAAAAAIAAAAA"}
    offered = edge.post("/api/livekit/token", json={"room": "r"}, headers=offer)
    assert offered.json() == edge.post("/api/livekit/token", json={"room": "r"}).json()
    assert edge.get("/api/health", headers=offer).json() == {"status": "ok"}


def test_what_a_stranger_makes_long_is_logged_in_part(hub: Hub, edge: httpx.Client) -> None:
    assert edge.request("A" * 60_000, "/").status_code == 405
    wait_until(lambda: f'"{"A" * 20}…"' in hub.log("edge"), "the line")
    assert max(len(line) for line in hub.log("edge").splitlines()) < 5000


def test_the_token_endpoint_is_open_on_loopback_where_no_edge_runs() -> None:
    with make_hub() as hub:
        hub.up("--no-verify")
        url = f"http://127.0.0.1:{hub.ports['web']}/api/livekit/token"
        assert httpx.post(url, json={"room": "r"}, trust_env=False).status_code == 200


@pytest.mark.parametrize("path", INSIDE)
def test_nothing_for_the_operator_is_to_be_had(edge: httpx.Client, path: str) -> None:
    assert edge.get(path).status_code == 404


def test_health_says_no_more_than_whether_it_is_well(hub: Hub, edge: httpx.Client) -> None:
    supervisor = psutil.Process(hub.supervisor_pid())
    media = psutil.Process(hub.pids()["media"])
    supervisor.suspend()
    media.kill()
    try:
        wait_until(lambda: edge.get("/api/health").status_code == 503, "health says that media is gone")
        assert edge.get("/api/health").json() == {"status": "unavailable"}
    finally:
        supervisor.resume()
    wait_until(lambda: edge.get("/api/health").status_code == 200, "media is back")


PEOPLE = {"Accept": "text/html,*/*;q=0.8"}


def test_a_page_that_is_asked_for_while_the_service_restarts_comes_all_the_same(hub: Hub, edge: httpx.Client) -> None:
    before = hub.pids()["serve"]
    psutil.Process(before).kill()
    assert edge.get("/join/lobby").status_code == 200
    assert hub.pids()["serve"] != before


@contextlib.contextmanager
def nobody_brings_back(hub: Hub) -> Iterator[None]:
    supervisor = psutil.Process(hub.supervisor_pid())
    supervisor.suspend()
    try:
        yield
    finally:
        supervisor.resume()


def check_told_in_words(edge: httpx.Client, status: int) -> None:
    with ThreadPoolExecutor() as pool:
        page, api = pool.map(lambda accept: edge.get("/", headers=accept, timeout=20), (PEOPLE, {"Accept": "*/*"}))
    assert (page.status_code, api.status_code) == (status, status)
    assert "tries again every two seconds" in page.text
    assert '<meta http-equiv="refresh"' in page.text
    assert api.json()["error"]["code"] == "unavailable"


def test_a_service_that_is_gone_is_reported_in_words(hub: Hub, edge: httpx.Client) -> None:
    serve = psutil.Process(hub.pids()["serve"])
    with nobody_brings_back(hub):
        serve.kill()
        check_told_in_words(edge, 504)
    wait_until(lambda: edge.get("/").status_code == 200, "the service is back")


@pytest.mark.field  # it waits until the edge has lost its patience
def test_a_service_that_hangs_is_reported_in_words(hub: Hub, edge: httpx.Client) -> None:
    serve = psutil.Process(hub.pids()["serve"])
    serve.suspend()
    try:
        check_told_in_words(edge, 504)
    finally:
        serve.resume()
    wait_until(lambda: edge.get("/").status_code == 200, "the service answers again")


def test_the_edge_hands_on_what_is_compressed_as_it_is(edge: httpx.Client) -> None:
    page = edge.get("/").text
    asset = re.findall(r'src="(/assets/[^"]+\.js)"', page)[0]
    with edge.stream("GET", asset, headers={"Accept-Encoding": "gzip, br"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert (answer.headers["content-encoding"], len(raw)) == ("br", int(answer.headers["content-length"]))
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["vary"].lower() == "accept-encoding"


@pytest.mark.parametrize("path", ["/", "/api/hub", "/api/health", "/rtc/v1/validate", "/twirp/livekit.RoomService/x"])
@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1.evil.example"])
def test_another_name_is_not_this_hub(edge: httpx.Client, path: str, host: str) -> None:
    assert edge.get(path, headers={"Host": host}).status_code == 421


def test_plain_http_redirects_to_no_other_name(hub: Hub) -> None:
    url = f"http://127.0.0.1:{hub.ports['http']}/join/a"
    answer = httpx.get(url, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (
        308,
        f"https://127.0.0.1:{hub.ports['https']}/join/a",
    )
    answer = httpx.get(url, headers={"Host": "evil.example"}, trust_env=False)
    assert "evil.example" not in answer.headers.get("location", "")


def test_nothing_of_the_hub_can_be_read_by_others(hub: Hub) -> None:
    found = [hub.state, *hub.state.rglob("*")]
    assert {"root.key", "caddy", "edge.sock"} <= {path.name for path in found}
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_a_token_is_in_no_log(hub: Hub, edge: httpx.Client) -> None:
    """Neither for an answered request, nor for one that is refused or aborted, or whose process is down."""
    plain = f"http://127.0.0.1:{hub.ports['http']}"
    asked = f"?access_token={CANARY}"
    for path in (f"/rtc{asked}", f"/rtc/v1{asked}", f"/join/r{asked}", f"/nothing{asked}", f"/twirp/x{asked}"):
        edge.get(path)
        edge.get(path, headers={"Host": "evil.example"})
        edge.get(path, headers={"Authorization": f"Bearer {CANARY}", "Cookie": CANARY})
        with contextlib.suppress(httpx.TransportError):  # it need not hear all of that
            edge.get(path, headers={"Authorization": f"Bearer {CANARY}", "X-Long": "x" * 70_000})
        httpx.get(f"{plain}{path}", trust_env=False)
    shake_and_break_off(hub, f"GET /rtc{asked} HTTP/1.1\r\nHost: 127.0.0.1:{hub.ports['https']}\r\n".encode())
    shake_and_break_off(hub, f"{CANARY}\r\n\r\n".encode())
    # No process behind the edge, and no supervisor that restarts one.
    os.kill(hub.supervisor_pid(), signal.SIGKILL)
    pids = hub.pids()
    os.kill(pids["media"], signal.SIGKILL)
    os.kill(pids["serve"], signal.SIGKILL)
    with ThreadPoolExecutor() as pool:  # the edge is patient with each
        answers = pool.map(lambda path: edge.get(f"{path}{asked}", timeout=20), ("/rtc", "/api/health"))
    assert [answer.status_code for answer in answers] == [502, 502]
    hub.up("--no-verify")
    assert hub.pids()["edge"] == pids["edge"], "the next supervisor takes over what runs"
    wait_until(lambda: "502" in hub.log("edge"), "the edge logs what it could not pass on")
    rendered = hub.state / "rendered"
    texts = {
        path: path.read_bytes() for path in hub.state.rglob("*") if path.is_file() and rendered not in path.parents
    }
    assert any(path.name == "edge.log" for path in texts)
    assert [path for path, text in texts.items() if CANARY.encode() in text or b"eyJhbGciOi" in text] == []


def shake_and_break_off(hub: Hub, beginning: bytes) -> None:
    """Send the beginning of a request, and leave."""
    context = ssl.create_default_context(cafile=hub.state / "ca" / "root.crt")
    with (
        socket.create_connection(("127.0.0.1", hub.ports["https"])) as wire,
        context.wrap_socket(wire, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(beginning)
