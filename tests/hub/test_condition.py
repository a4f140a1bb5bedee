"""What is worse than before an upgrade."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lkhub.checks.paths import PathResult, WebResult
from lkhub.hub.condition import find_worse, read_condition
from lkhub.hub.status import HubStatus, Verified
from lkhub.state.upgrade import Condition
from lkhub.wire.control import HubReport, ProcessReport
from tests.reports import applied_record

WELL = Condition(running=True, proved=("udp", "turn-udp", "the page"))


def status(**given: Any) -> dict[str, Any]:  # another version's document
    """A document of `status --json`, with a key that this version does not know."""
    return {"hub": {"state": "running"}, "processes": [], "verified": None, "findings": [], "newer": 1} | given


def test_condition_is_read_from_the_status_of_any_version() -> None:
    document = status(
        processes=[{"name": "media", "state": "running"}, {"name": "relay", "state": "backoff"}],
        verified={
            "paths": [{"path": "udp", "ok": True, "detail": ""}, {"path": "tcp", "ok": False, "detail": "closed"}],
            "web": [{"what": "page", "ok": True, "detail": ""}, {"what": "api", "ok": None, "detail": "not asked"}],
        },
        findings=[
            {"code": "change-pending", "subject": "hub", "severity": "info", "title": "a change waits"},
            {"code": "process-fails", "subject": "relay", "severity": "error", "title": "relay does not stay up"},
            {"code": "root-new", "subject": "hub", "severity": "warning", "title": "a root"},
        ],
    )
    assert read_condition(document) == Condition(
        running=True,
        pending=True,
        down=("relay",),
        proved=("udp", "the page"),
        failed={"tcp": "closed", "the api": "not asked"},
        errors={"process-fails relay": "relay does not stay up"},
    )


def test_condition_is_read_from_what_this_version_writes() -> None:
    """An `lkhub upgrade` of any version reads it: neither a key nor a word of it may change without that one."""
    verified = Verified(
        at=200.0,
        paths=(PathResult("udp", True, "media", ""), PathResult("tcp", False, "media", "closed")),
        web=(WebResult("page", True, "http://x/"), WebResult("api", False, "http://x/api", detail="404")),
    )
    processes = tuple(
        ProcessReport(name, 1, state, 150.0, roles=("carries-calls",))
        for name, state in (("media", "running"), ("relay", "failed"))
    )
    report = HubReport(1, processes, pending=True)
    written = HubStatus(applied_record(at=100.0), report, (), verified).as_json()
    condition = read_condition(json.loads(json.dumps(written)))
    assert (condition.running, condition.pending, condition.down) == (True, True, ("relay",))
    assert condition.proved == ("udp", "the page")
    assert condition.failed == {"tcp": "closed", "the api": "404"}
    assert "process-fails relay" in condition.errors


@pytest.mark.parametrize(
    ("state", "runs"), [("running", True), ("degraded", True), ("stopped", False), ("unsupervised", False)]
)
def test_hub_runs_as_long_as_it_has_a_supervisor(state: str, runs: bool) -> None:
    assert read_condition(status(hub={"state": state})).running == runs


@pytest.mark.parametrize("broken", [{}, {"hub": None}, status(findings=[{}]), status(verified={"paths": [{}]})])
def test_document_without_what_is_needed_is_no_condition(broken: dict[str, Any]) -> None:  # no document
    with pytest.raises((LookupError, TypeError, AttributeError)):
        read_condition(broken)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (replace(WELL, running=False), "the hub does not run"),
        (replace(WELL, down=("media",)), "media does not run"),
        (
            replace(WELL, proved=("udp", "the page"), failed={"turn-udp": "refused"}),
            "turn-udp worked before, and does not: refused",
        ),
        (replace(WELL, proved=("udp", "turn-udp")), "the page worked before, and does not: it is not there any more"),
        (replace(WELL, errors={"store-gone hub": "the store is gone"}), "the store is gone [store-gone]"),
    ],
)
def test_what_was_well_and_is_not_is_worse(after: Condition, said: str) -> None:
    assert find_worse(WELL, after) == (said,)
    assert find_worse(after, after) == (), "it was so before"


def test_what_is_better_or_the_same_is_not_worse() -> None:
    unwell = Condition(running=True, down=("edge",), failed={"tcp": "closed"}, errors={"port-taken edge": "taken"})
    assert find_worse(unwell, replace(WELL, proved=("tcp",))) == ()
    assert find_worse(WELL, replace(WELL, failed={"tcp": "closed"})) == (), "a path that is new"
    assert find_worse(Condition(), Condition()) == ()


def test_reason_is_said_once() -> None:
    """A path that failed, and a process that is down, each have a finding too."""
    after = replace(
        WELL,
        down=("serve",),
        proved=("udp", "the page"),
        errors={"call-failed turn-udp": "x", "process-fails serve": "y"},
    )
    assert len(find_worse(WELL, after)) == 2


def test_words_of_others_can_not_change_the_terminal() -> None:
    assert "\x1b" not in find_worse(WELL, replace(WELL, errors={"a b": "\x1b[31mred"}))[0]
