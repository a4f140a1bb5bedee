import json

import pytest

from lkhub.checks.paths import PathResult, WebResult
from lkhub.checks.web_findings import check_web
from lkhub.hub.web import Answer
from lkhub.hub.web_proxy import judge_forwarded, judge_redirect
from tests.checks.called import PROXIED, say

PLAIN, PAGE = "http://rtc.example.com/join/lobby", "https://rtc.example.com/join/lobby"
INFO = "https://rtc.example.com/api/request-info"


@pytest.mark.parametrize(
    ("answer", "wanted", "ok", "said"),
    [
        (Answer(308, {"location": PAGE}, ""), PAGE, True, None),
        (Answer(301, {"location": "https://RTC.example.com:443/join/lobby"}, ""), PAGE, True, None),
        (
            Answer(302, {"location": "https://rtc.example.com:8443/join/lobby"}, ""),
            "https://rtc.example.com:8443/join/lobby",
            True,
            None,
        ),
        # A redirect to another port, to another path, to another host, to itself; and one without a location.
        (Answer(301, {"location": "https://rtc.example.com:8443/join/lobby"}, ""), PAGE, False, "other"),
        (Answer(301, {"location": "https://rtc.example.com/"}, ""), PAGE, False, "other"),
        (Answer(301, {"location": "https://www.example.com/join/lobby?rd=secret"}, ""), PAGE, False, "other"),
        (Answer(301, {"location": PLAIN}, ""), PAGE, False, "other"),
        (Answer(301, {}, ""), PAGE, False, "other"),
        (Answer(404, {}, "<html>nginx</html>"), PAGE, False, "other"),
        (Answer(200, {}, "<html>the page</html>"), PAGE, False, "page"),
    ],
)
def test_plain_http_leads_to_the_same_page(answer: Answer, wanted: str, ok: bool, said: str | None) -> None:
    result = judge_redirect(PLAIN, answer, wanted)
    assert (result.ok, result.evidence.get("said")) == (ok, said)
    assert "secret" not in str(result)


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (Answer(200, {}, json.dumps({"instance": "x", "client": "198.51.100.7", "forwarded": True})), True),
        (Answer(200, {}, json.dumps({"instance": "x", "client": "127.0.0.1", "forwarded": False})), False),
        # A hub that is not behind a proxy, another page, an older hub.
        (Answer(200, {}, json.dumps({"instance": "x", "client": "127.0.0.1", "forwarded": None})), None),
        (Answer(200, {}, "<html>My cloud</html>"), None),
        (Answer(200, {}, "[]"), None),
        (Answer(404, {}, "{}"), None),
    ],
)
def test_proxy_that_does_not_send_clients_addresses_is_found(answer: Answer, ok: bool | None) -> None:
    result = judge_forwarded(INFO, answer)
    assert result.ok is ok
    assert ("127.0.0.1" in result.detail) is (ok is False)


GOOD = [WebResult("page", True, PAGE), WebResult("api", True, PAGE)]
NOT_REDIRECTED = judge_redirect(PLAIN, Answer(200, {}, "<html></html>"), PAGE)
LOST = WebResult("forwarded", False, INFO, "no-forwarded-for", "as one of 127.0.0.1", {"client": "127.0.0.1"})
CLOSED = WebResult("redirect", False, PLAIN, "not-redirected", "nothing answers", {"said": "nothing"})


@pytest.mark.parametrize(
    ("result", "code", "severity", "words"),
    [
        (NOT_REDIRECTED, "http-not-redirected", "warning", "neither camera nor microphone"),
        (CLOSED, "http-not-redirected", "info", "tries HTTPS by itself"),
        (LOST, "client-address-lost", "warning", "all of them are at 127.0.0.1"),
    ],
)
def test_fix_names_the_line_for_each_proxy(result: WebResult, code: str, severity: str, words: str) -> None:
    [finding] = check_web([*GOOD, result], [], PROXIED)
    assert (finding.code, finding.severity) == (code, severity)
    assert words in finding.cause
    for proxy in ("nginx `", "HAProxy `", "Traefik", "Caddy"):
        assert proxy in say(finding)
    assert "lkhub render proxy" in say(finding)
    assert not result.keeps_out, "people get in all the same"


def test_page_that_does_not_come_is_the_only_finding() -> None:
    page = WebResult("page", False, PAGE, "login", "wants a login")
    assert [finding.code for finding in check_web([page, NOT_REDIRECTED, LOST], [], PROXIED)] == ["page-fails"]
    assert page.keeps_out
    refused = PathResult("udp", False, "tcp", "refused", reason="refused")
    assert list(check_web([*GOOD, NOT_REDIRECTED, LOST], [refused], PROXIED)) == []
