import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from lkhub.checks.called import CalledHub
from lkhub.checks.paths import Overrides, PathResult, WebPart, WebResult
from lkhub.checks.web_findings import check_web
from lkhub.host.http import httpx
from lkhub.hub import web
from lkhub.hub.web import Answer, ask, judge_api, judge_page, judge_part, open_client, quote_page, verify_web
from lkhub.hub.web_proxy import judge_redirect
from lkhub.secret import Secret
from tests.checks.called import OWN, PROXIED, say

URL = "https://rtc.example.com/join/lobby"
PARTS = {"/assets/index-1.js": "js", "/assets/index-1.css": "css"}
PAGE = '<html><script src="/assets/index-1.js"></script><link href="/assets/index-1.css"></html>'


def hub_error(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": "no"}})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, {}, PAGE), ""),
        (Answer(200, {}, PAGE.replace("</html>", "<script>injected</script></html>")), ""),
        (Answer(200, {}, "<html><h1>My cloud</h1></html>"), "another-page"),
        (Answer(200, {}, PAGE.replace("index-1.css", "index-0.css")), "another-page"),
        (Answer(302, {"location": "https://auth.example.com/?rd=x"}, ""), "redirect"),
        (Answer(401, {}, "<html>Sign in</html>"), "login"),
        (Answer(403, {"www-authenticate": "Basic"}, ""), "login"),
        (Answer(403, {}, ""), "forbidden"),
        (Answer(404, {}, "<html>404 Not Found</html>"), "not-found"),
        (Answer(502, {}, "<html>502 Bad Gateway</html>"), "gateway"),
        (Answer(500, {}, "oops"), "http-failed"),
        (Answer(421, {}, hub_error("wrong-host")), "hub-wrong-host"),
        (Answer(403, {}, hub_error("not-from-proxy")), "hub-not-trusted"),
        (Answer(502, {}, hub_error("unavailable")), "hub-media-down"),
    ],
)
def test_page_is_distinguished_from_other_servers(answer: Answer, reason: str) -> None:
    result = judge_page(URL, answer, PARTS)
    assert (result.ok, result.reason) == (not reason, reason)
    assert "<" not in result.detail
    assert "{" not in result.detail, "a hub's own words, and not its JSON"
    assert "rd=x" not in str(result), "a query"


def test_page_that_takes_too_long_is_told_from_one_that_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy leads pages to an address where nothing answers."""

    def ask(client: object, url: str, *_: object) -> Answer:
        if url.startswith("https:"):
            raise httpx.ReadTimeout("timed out")
        return Answer(200, {}, PAGE)

    monkeypatch.setattr(web, "ask", ask)
    overrides = Overrides("", {}, "")
    results = verify_web(
        "https://rtc.example.com", "http://own", "wss://rtc.example.com", "API", Secret("x" * 40), overrides
    )
    assert [(result.what, result.reason) for result in results] == [("page", "http-silent"), ("api", "http-silent")]
    assert "does not answer within 5 s" in results[0].detail


@pytest.mark.parametrize("reason", ["login", "forbidden", "redirect"])
def test_login_in_front_of_pages_is_to_let_pages_pass(reason: str) -> None:
    """The fix lets the whole name pass, since LiveKit's paths alone do not bring the page."""
    evidence = {"location": "https://rtc.example.com/login", "to_host": "rtc.example.com"}
    allows: dict[WebPart, str] = {
        "page": "let all of rtc.example.com pass",
        "api": "let /rtc, /twirp, /agent and /whip pass",
    }
    for what, allowed in allows.items():
        [finding] = check_web([WebResult(what, False, URL, reason, "seen", evidence)], [], PROXIED)
        assert allowed in say(finding)
        assert "sends callers to rtc.example.com instead" not in say(finding), "the hub's own name"


def test_page_without_one_of_its_files_does_not_open() -> None:
    page = WebResult("page", True, URL)
    part = "https://rtc.example.com/assets/index-1.js"
    assert judge_part(page, part, Answer(200, {}, "js"), "js") is page
    for answer in (Answer(404, {}, "js"), Answer(200, {}, "<html>the start page of something</html>")):
        result = judge_part(page, part, answer, "js")
        assert (result.ok, result.reason) == (False, "part-missing")
        assert part in result.detail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, {}, '{"rooms":[]}'), ""),
        (Answer(200, {}, '{"rooms": [{"name": "lobby"}]}'), ""),
        (Answer(200, {}, '["rooms"]'), "another-page"),
        (Answer(200, {}, '<a href="#">My "rooms"</a>'), "another-page"),
        (Answer(401, {}, '{"code":"unauthenticated","msg":"no permissions"}'), "no-grant"),
        (Answer(401, {}, "<html>Sign in</html>"), "login"),
        (Answer(404, {}, "<html>404</html>"), "not-found"),
        (Answer(200, {}, "<html>My cloud</html>"), "another-page"),
    ],
)
def test_api_is_distinguished_from_other_servers(answer: Answer, reason: str) -> None:
    result = judge_api("https://rtc.example.com/twirp/livekit.RoomService/ListRooms", answer)
    assert (result.ok, result.reason) == (not reason, reason)


NOWHERE = Overrides("", {}, "")


@contextlib.contextmanager
def another_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a web server that is not a hub's; `serve` answers each request."""

    def run() -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=run, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/join/lobby"
        listener.shutdown(socket.SHUT_RDWR)


LOCATIONS = [
    "http://[",
    "//[x",
    "http://a]b/",
    "https://h:99999/",
    "http://h:-1/",
    "http:x",
    "javascript:x",
    "//h:\u0663/",
]


@pytest.mark.parametrize(
    "location", [*LOCATIONS, "http://h/\x1b[31m", "http://h/" + "x" * 50_000], ids=lambda x: x[:20]
)
def test_redirect_of_another_server_may_lead_to_what_is_no_url(location: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with another_server(lambda connection: connection.sendall(head.encode())) as url, open_client(NOWHERE) as client:
        answer = ask(client, url, NOWHERE)
        for result in (judge_page(url, answer, PARTS), judge_api(url, answer)):
            assert (result.ok, result.reason) == (False, "redirect")
            assert "\x1b" not in result.detail
            assert len(result.detail) < 500
        assert judge_redirect(url, answer, URL).reason == "not-redirected"


@pytest.mark.parametrize("charset", ["base64", "idna", "undefined", "utf-7", "nonsense"])
def test_answer_of_another_server_may_name_any_encoding(charset: str) -> None:
    said = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={charset}\r\nConnection: close\r\n\r\nMy cl\xf6ud"
    serve = another_server(lambda connection: connection.sendall(said.encode("latin-1")))
    with serve as url, open_client(NOWHERE) as client:
        assert judge_page(url, ask(client, url, NOWHERE), PARTS).detail.endswith("is another page: My cl\ufffdud")


def test_answer_that_does_not_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with another_server(stream) as url, open_client(NOWHERE) as client:
        answer = ask(client, url, NOWHERE)
        assert len(answer.body) == web.MAX_BYTES
        assert judge_page(url, answer, PARTS).reason == "another-page"
        monkeypatch.setattr(web, "WHOLE_SECONDS", 0.0)
        monkeypatch.setattr(web, "MAX_BYTES", 1 << 60)
        with pytest.raises(httpx.HTTPError, match="takes longer than"):
            ask(client, url, NOWHERE)


@pytest.mark.parametrize("part", ["<", "<a ", "<script>", "<!--", "</", "&", "&#x", " ", "\x1b", "a"])
def test_no_page_takes_long_to_quote(part: str) -> None:
    """With expressions that try each of their beginnings to the end of the page, this takes hours."""
    assert len(quote_page(part * 1_000_000)) <= 120


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<script>x()</script><h1>My&nbsp;cloud</h1>", "My cloud"),
        ("<!-- x --><STYLE>a{}</style>a < b <b>c</b>", "a < b c"),
        ("502 Bad Gateway <script>unclosed", "502 Bad Gateway"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
    ],
)
def test_page_is_quoted_in_its_words(page: str, words: str) -> None:
    assert quote_page(page) == words


LOGIN = WebResult("page", False, URL, "login", "wants a login")


@pytest.mark.parametrize("hub", [OWN, PROXIED])
def test_page_that_does_not_open_is_an_error_with_what_to_change(hub: CalledHub) -> None:
    [finding] = check_web([LOGIN], [PathResult("udp", True, "media", "")], hub)
    assert (finding.code, finding.subject, finding.severity) == ("page-fails", "web", "error")
    assert "login" in finding.cause
    [finding] = check_web([WebResult("page", False, URL, "another-page", "another")], [], PROXIED)
    assert "proxy_pass http://127.0.0.1:7883;" in say(finding)
    [finding] = check_web([WebResult("page", False, URL, "part-missing", "a part")], [], PROXIED)
    assert "proxy_pass http://127.0.0.1:7883;" in say(finding)


def test_one_cause_is_one_finding() -> None:
    api = WebResult("api", False, URL, "login", "wants a login, too")
    [both] = check_web([LOGIN, api], [], PROXIED)
    assert "too" in both.detail
    assert "API" in both.title
    other = WebResult("api", False, URL, "not-found", "is not there")
    assert [finding.code for finding in check_web([LOGIN, other], [], PROXIED)] == ["page-fails", "api-fails"]
    [alone] = check_web([other], [], PROXIED)
    assert alone.code == "api-fails"
    no_way = PathResult("udp", False, "http", "", reason="login")
    assert list(check_web([LOGIN], [no_way], PROXIED)) == []


def test_part_that_is_there_or_could_not_be_tried_is_no_finding() -> None:
    assert list(check_web([WebResult("page", True, URL), WebResult("api", None, URL)], [], OWN)) == []
