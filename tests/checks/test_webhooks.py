"""Receivers of webhooks that do not take what they should."""

from datetime import UTC, datetime

import pytest

from lkhub.checks.webhooks import check_webhooks
from lkhub.livekit.webhooks import NO_ANSWER
from lkhub.state.webhooks import ReceiverRecord

NOW = datetime(2026, 11, 28, 22, tzinfo=UTC)
AGO = NOW.timestamp() - 3600
URL = "https://app.example.com/hook"


@pytest.mark.parametrize(
    ("receiver", "codes"),
    [
        (ReceiverRecord(URL), []),
        (ReceiverRecord(URL, 5), []),
        (ReceiverRecord(URL, 5, 0, AGO, "answered 500"), ["webhook-receiver-fails"]),
        (ReceiverRecord(URL, 5, 0, NOW.timestamp() - 59, "answered 500"), []),
        (ReceiverRecord(URL, 5, 0, NOW.timestamp() - 60, "answered 500"), ["webhook-receiver-fails"]),
        (ReceiverRecord(URL, 5, 0, NOW.timestamp() + 3600, "the clock was set back"), []),
        (ReceiverRecord(URL, 0, 0, AGO, "the last was given up"), []),
        (ReceiverRecord(URL, 0, 2), ["webhook-events-dead"]),
        (ReceiverRecord(URL, 5, 2, AGO, "answered 500"), ["webhook-receiver-fails", "webhook-events-dead"]),
    ],
)
def test_what_is_found(receiver: ReceiverRecord, codes: list[str]) -> None:
    found = list(check_webhooks([receiver], NOW))
    assert [finding.code for finding in found] == codes
    assert {finding.severity for finding in found} <= {"warning"}
    assert {finding.subject for finding in found} <= {URL}


def test_detail_says_how_many_wait_since_when_and_why() -> None:
    [found] = check_webhooks([ReceiverRecord(URL, 12, 0, AGO, "answered 401")], NOW)
    assert found.detail == "12 events wait; nothing was taken since 2026-11-28 21:00:00 UTC: answered 401"
    [found] = check_webhooks([ReceiverRecord(URL, 0, 1)], NOW)
    assert found.title == f"an event was given up that {URL} did not take"


@pytest.mark.parametrize(
    ("problem", "command"),
    [
        *((problem, ["lkhub env"]) for problem in (NO_ANSWER, "answered 400", "answered 401", "answered 500")),
        ("answered 502", []),
    ],
)
def test_receiver_that_refuses_the_signature_gets_the_key(problem: str, command: list[str]) -> None:
    [found] = check_webhooks([ReceiverRecord(URL, 1, 0, AGO, problem)], NOW)
    assert [fix.command for fix in found.fix] == [*command, "lkhub webhooks test --all"]


def test_each_receiver_is_judged_by_itself() -> None:
    receivers = [ReceiverRecord("a", 1, 0, AGO, "x"), ReceiverRecord("b"), ReceiverRecord("c", 0, 1)]
    assert [finding.subject for finding in check_webhooks(receivers, NOW)] == ["a", "c"]
