"""A failure depends on the findings that explain it, and on no others."""

from dataclasses import replace

import pytest

from lkhub.checks.called import CalledHub
from lkhub.checks.calls import check_paths
from lkhub.checks.paths import PathResult, WebResult
from lkhub.checks.web_findings import check_web
from lkhub.findings.finding import Ref
from tests.checks.called import OWN, PROXIED, fail

DOWN = {name: Ref("process-fails", name) for name in ("media", "edge", "relay", "serve")}
BARE = replace(OWN, tls="off")
TURN = "turns:turn.example.com:443?transport=tcp"


def causes(result: PathResult, hub: CalledHub) -> list[str]:
    [finding] = check_paths([result], hub)
    return [f"{ref.code} {ref.subject}" for ref in finding.depends_on]


@pytest.mark.parametrize(
    ("hub", "result", "process"),
    [
        (OWN, fail("udp", "http", "hub-media-down"), "media"),
        (OWN, fail("tcp", "join", "signal-ended"), "media"),
        (OWN, fail("udp", "connect", "no-reply", remote="udp 127.0.0.1:7882"), "media"),
        (OWN, fail("udp", "tcp", "refused"), "edge"),
        (BARE, fail("udp", "tcp", "refused"), "media"),
        (OWN, fail("turn-udp", "connect", "turn-silent"), "relay"),
        (OWN, fail("turn-tls", "tcp", "refused", turn_url=TURN), "edge"),
        (PROXIED, fail("udp", "http", "gateway"), "edge"),
        # The proxy is not one of the hub's processes.
        (PROXIED, fail("udp", "tcp", "refused"), None),
        # A process that is down explains none of these.
        (OWN, fail("udp", "tls", "expired"), None),
        (OWN, fail("udp", "tls", "wrong-name"), None),
        (OWN, fail("udp", "dns", "name-unknown"), None),
        (OWN, fail("udp", "token", "token-expired"), None),
        (OWN, fail("udp", "join", "not-offered"), None),
    ],
)
def test_process_that_is_down_explains_only_calls_that_need_it(
    hub: CalledHub, result: PathResult, process: str | None
) -> None:
    everything = replace(hub, down=DOWN)
    assert causes(result, everything) == ([f"process-fails {process}"] if process else [])
    assert causes(result, hub) == [], "what runs explains nothing"
    others = {name: ref for name, ref in DOWN.items() if name != process}
    assert causes(result, replace(hub, down=others)) == []


HANGING = {name: Ref("process-hangs", name) for name in ("media", "edge", "relay")}


@pytest.mark.parametrize(
    ("hub", "result", "process"),
    [
        (OWN, fail("udp", "http", "hub-media-down"), "media"),
        (BARE, fail("udp", "http", "http-silent"), "media"),
        (OWN, fail("udp", "tls", "tls-silent"), "edge"),
        (OWN, fail("turn-udp", "connect", "turn-silent"), "relay"),
        (PROXIED, fail("udp", "tls", "tls-silent"), None),
        (OWN, fail("udp", "tcp", "refused"), None),
        (OWN, fail("udp", "tls", "expired"), None),
    ],
)
def test_process_that_hangs_explains_only_silence(hub: CalledHub, result: PathResult, process: str | None) -> None:
    hanging = {process: HANGING[process]} if process else HANGING
    assert causes(result, replace(hub, hanging=hanging)) == ([f"process-hangs {process}"] if process else [])


def test_name_that_leads_elsewhere_explains_calls_by_this_name() -> None:
    astray = {name: Ref("name-leads-elsewhere", name) for name in ("rtc.example.com", "turn.example.com")}
    own = {"rtc.example.com": astray["rtc.example.com"]}
    refused = fail("udp", "tcp", "refused")
    assert causes(refused, replace(BARE, astray=own)) == ["name-leads-elsewhere rtc.example.com"]
    assert causes(refused, replace(OWN, astray=own)) == [], "with an edge the calls go to this machine"
    turn = fail("turn-tls", "tls", "wrong-name", turn_url=TURN)
    assert causes(turn, replace(PROXIED, astray=astray)) == ["name-leads-elsewhere turn.example.com"]
    assert causes(fail("udp", "connect", "dtls-unfinished"), replace(BARE, astray=own)) == [], "it got to the server"


def test_relay_that_is_full_explains_that_it_refuses() -> None:
    full = replace(OWN, full={"turn-udp": Ref("relay-nearly-full", "turn-udp")})
    assert causes(fail("turn-udp", "gather", "turn-refused"), full) == ["relay-nearly-full turn-udp"]
    assert causes(fail("turn-tls", "gather", "turn-refused", turn_url=TURN), full) == []


def test_paths_of_one_finding_are_explained_together_or_not_at_all() -> None:
    down = {"relay": DOWN["relay"]}
    both = [fail("udp", "connect", "no-reply", remote="udp 127.0.0.1:7882"), fail("turn-udp", "connect", "turn-silent")]
    udp, relayed = check_paths(both, replace(OWN, down=down))
    assert udp.depends_on == (), "that the relay is down does not explain the path udp"
    assert [ref.subject for ref in relayed.depends_on] == ["relay"]
    closed = Ref("port-closed", "7882/udp")
    udp, relayed = check_paths(both, replace(OWN, down=down, closed={"7882/udp": closed}))
    assert udp.depends_on == (closed,)
    assert [ref.subject for ref in relayed.depends_on] == ["relay"]
    udp, relayed = check_paths(both, replace(OWN, closed={"7882/udp": closed}))
    assert (udp.depends_on, relayed.depends_on) == ((closed,), ()), "that media's port is closed says nothing of 3478"
    [finding] = check_paths(both, replace(OWN, down=down | {"media": DOWN["media"]}))
    assert {ref.subject for ref in finding.depends_on} == {"media", "relay"}


def test_page_and_api_follow_from_the_processes_behind_them() -> None:
    good = PathResult("udp", True, "media", "")
    page = WebResult("page", False, "https://rtc.example.com", "hub-media-down", "HTTP 502")
    api = replace(page, what="api", reason="hub-media-down", detail="HTTP 503")
    down = replace(OWN, down=DOWN)
    assert [finding.depends_on for finding in check_web([page], [good], down)] == [(DOWN["serve"],)]
    assert [finding.depends_on for finding in check_web([api], [good], down)] == [(DOWN["media"],)]
    login = replace(page, reason="login")
    assert [finding.depends_on for finding in check_web([login], [good], down)] == [()]
