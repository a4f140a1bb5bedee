"""What a command learns from the supervisor of a hub, or without one."""

from pathlib import Path
from typing import Any

import pytest

from lkhub.cli.shared.progress import Progress
from lkhub.errors import HubError, UnwellError
from lkhub.host.control import BrokenOffError, NotRunningError
from lkhub.hub import running as hub
from lkhub.plan.paths import StatePaths
from lkhub.wire.control import HubReport
from tests.reports import applied_record, hub_report, process_report


@pytest.mark.parametrize("certified", [["192.168.1.5", "127.0.0.1"], []])
def test_certificates_are_waited_for_as_long_as_the_edge_gets_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certified: list[str]
) -> None:
    answers: list[dict[str, Any] | None] = [
        None,  # the edge does not answer yet
        {"pending": ["192.168.1.5"]},
        {"pending": []},
    ]

    def ask(*_: object) -> HubReport:
        return hub_report({"edge": answers.pop(0)})

    monkeypatch.setattr(hub, "require_applied", lambda _: applied_record(certified=certified))
    monkeypatch.setattr(hub, "ask", ask)
    monkeypatch.setattr(hub, "POLL_SECONDS", 0)
    hub.wait_for_certificates(StatePaths(str(tmp_path)), Progress())
    assert len(answers) == (0 if certified else 3), "a hub that needs no certificate asks no process"


def test_supervisor_that_does_not_answer_while_certificates_are_waited_for_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def ask(*_: object) -> HubReport:
        asked.append("status")
        if len(asked) == 1:
            raise NotRunningError(busy=True)
        return hub_report({"edge": {"pending": []}})

    monkeypatch.setattr(hub, "require_applied", lambda _: applied_record(certified=["rtc.example.com"]))
    monkeypatch.setattr(hub, "ask", ask)
    monkeypatch.setattr(hub, "POLL_SECONDS", 0)
    hub.wait_for_certificates(StatePaths(str(tmp_path)), Progress())
    assert len(asked) == 2


def test_certificates_are_not_waited_for_where_the_edge_does_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As when another program has taken the edge's port."""
    clock = [0.0]

    def ask(*_: object) -> HubReport:
        clock[0] += 1
        assert clock[0] < hub.CERTIFICATE_SECONDS / 2
        return hub_report({})

    monkeypatch.setattr(hub, "require_applied", lambda _: applied_record(certified=["rtc.example.com"]))
    monkeypatch.setattr(hub, "ask", ask)
    monkeypatch.setattr(hub, "POLL_SECONDS", 0)
    monkeypatch.setattr("lkhub.hub.running.time.monotonic", lambda: clock[0])
    hub.wait_for_certificates(StatePaths(str(tmp_path)), Progress())
    assert clock[0] > hub.EDGE_SECONDS, "it may come back by itself"


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ([], "the hub has been stopped meanwhile"),
        (["media", "edge"], "still running without it: media, edge"),
        (["agent-a", "media", "agent-a"], "still running without it: agent-a, media$"),
    ],
)
def test_certificates_of_a_hub_that_was_stopped_meanwhile_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: list[str], told: str
) -> None:
    """`lkhub down` runs while `lkhub up` waits, or the supervisor is killed."""
    answers = [{"edge": {"pending": ["rtc.example.com"]}}]

    def ask(*_: object) -> HubReport:
        if not answers:
            raise NotRunningError
        return hub_report(answers.pop())

    monkeypatch.setattr(hub, "require_applied", lambda _: applied_record(certified=["rtc.example.com"]))
    monkeypatch.setattr(hub, "ask", ask)
    monkeypatch.setattr(hub, "find_left", lambda _: [process_report(name=name) for name in left])
    monkeypatch.setattr(hub, "POLL_SECONDS", 0)
    with pytest.raises(UnwellError, match=told):
        hub.wait_for_certificates(StatePaths(str(tmp_path)), Progress())


@pytest.mark.parametrize(
    ("answers", "runs"),
    [
        ([None], True),
        ([NotRunningError()], False),
        ([BrokenOffError(), NotRunningError()], False),
        ([BrokenOffError(), None], True),
    ],
    ids=["answers", "none", "just killed", "socket opened again"],
)
def test_supervisor_that_breaks_off_is_asked_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: list[HubError | None], runs: bool
) -> None:
    def ask(*_: object) -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(hub, "ask", ask)
    assert hub.is_running(StatePaths(str(tmp_path))) is runs
    assert not answers


def test_supervisor_that_goes_on_to_break_off_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ask(*_: object) -> None:
        raise BrokenOffError

    monkeypatch.setattr(hub, "ask", ask)
    with pytest.raises(BrokenOffError):
        hub.is_running(StatePaths(str(tmp_path)))
