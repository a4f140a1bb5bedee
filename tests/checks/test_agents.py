"""Agents that don't run, and rooms that lack theirs."""

import pytest

from lkhub.checks.agents import (
    REGISTERING_SECONDS,
    WAITING_SECONDS,
    AgentProcess,
    HealthPort,
    check_agents,
    check_health_ports,
)
from lkhub.findings.finding import Finding
from lkhub.wire.engine import AgentsStatus, AgentWorker, WaitingRoom

NOW = 1_795_980_000.0
WORKER = AgentWorker("AW_1", "", "room", True, False, 0.1, "127.0.0.1:40000", NOW - 50)
LATE = NOW - REGISTERING_SECONDS


def check(*processes: AgentProcess, known: AgentsStatus | None = None) -> list[Finding]:
    return list(check_agents(processes, known or AgentsStatus(), NOW))


def codes(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.subject) for finding in found]


@pytest.mark.parametrize(
    ("process", "found"),
    [
        (AgentProcess("agent-bmo", LATE, WORKER), []),
        (AgentProcess("agent-bmo", LATE), [("agent-not-registered", "agent-bmo")]),
        (AgentProcess("agent-bmo", LATE + 1), []),
        (AgentProcess("agent-bmo", NOW + 3600), []),
        (AgentProcess("agent-bmo", LATE, installing=True), [("agent-installing", "agent-bmo")]),
        (AgentProcess("agent-bmo", NOW, installing=True), [("agent-installing", "agent-bmo")]),
        (AgentProcess("agent-bmo", LATE, failure="uv"), [("agent-install-failed", "agent-bmo")]),
        (AgentProcess("agent-bmo", NOW, installing=True, failure="uv"), [("agent-install-failed", "agent-bmo")]),
        (
            AgentProcess("agent-bmo", NOW, WORKER, exposed=(8081, 8082)),
            [("health-exposed", "agent-bmo"), ("health-exposed", "agent-bmo")],
        ),
    ],
    ids=range(9),
)
def test_what_is_found_about_a_process(process: AgentProcess, found: list[tuple[str, str]]) -> None:
    assert codes(check(process)) == found


def test_port_of_a_health_check_is_told_with_what_is_known_of_it() -> None:
    assert list(check_health_ports([HealthPort("agent-bmo", 8081)])) == []
    [taken] = check_health_ports([HealthPort("agent-bmo", 8081, taken=True)])
    assert (taken.code, taken.subject, taken.severity) == ("health-port-taken", "agent-bmo", "warning")
    assert taken.fix[0].command == "sudo ss -lntp 'sport = :8081'"
    [own] = check_health_ports([HealthPort("agent-bmo", 8081, exposed=True)])
    [unknown] = check_health_ports([HealthPort("agent-bmo", 8081, exposed=True, known=False)])
    assert own.code == unknown.code == "health-exposed"
    assert own.title.startswith("agent-bmo listens")
    assert unknown.title.startswith("port 8081")
    assert unknown.fix[0].command


def test_of_an_agent_in_a_container_no_more_is_said_than_is_known() -> None:
    [found] = check(AgentProcess("agent-bmo", LATE, contained=True))
    assert (found.code, found.severity, found.title) == (
        *("agent-not-registered", "warning"),
        "no worker of agent-bmo is connected",
    )
    assert [fix.command for fix in found.fix] == ["docker compose logs agent-bmo"]
    image = AgentProcess("agent-bmo", LATE, contained=True, seen=False)
    assert check(AgentProcess("agent-bmo", LATE + 1, contained=True)) == []
    assert codes(check(image)) == [("agent-not-registered", "agent-bmo")]
    assert check(image, known=AgentsStatus(workers=(WORKER,))) == [], "it may be this one"


def test_without_an_answer_of_media_nothing_is_said_of_registration() -> None:
    """Unknown is not false."""
    assert list(check_agents([AgentProcess("agent-bmo", LATE)], None, NOW)) == []


def test_every_finding_says_where_the_log_is() -> None:
    for process in (AgentProcess("agent-bmo-2", LATE), AgentProcess("agent-bmo-2", LATE, installing=True)):
        [finding] = check(process)
        assert [fix.command for fix in finding.fix] == ["lkhub logs agent-bmo-2"]


@pytest.mark.parametrize(
    ("reason", "code", "severity"),
    [
        ("no-worker", "agent-missing", "error"),
        ("full", "agent-full", "warning"),
        ("refused", "agent-refuses", "warning"),
        ("failing", "agent-fails", "error"),
    ],
)
def test_rooms_that_wait_are_one_finding_for_each_agent_and_reason(reason: str, code: str, severity: str) -> None:
    waiting = [WaitingRoom(f"room-{number}", "bmo", reason, NOW - WAITING_SECONDS) for number in range(7)]
    other = WaitingRoom("lobby", "", reason, NOW - WAITING_SECONDS)
    found = check(known=AgentsStatus(waiting=(*waiting, other)))
    assert codes(found) == [(code, "bmo"), (code, "agents")]
    assert {finding.severity for finding in found} == {severity}
    assert [finding.detail for finding in found] == ["room-0, room-1, room-2, room-3, room-4 and 2 more", "lobby"]
    assert "7 rooms" in found[0].title
    assert "1 room" in found[1].title
    assert "1 rooms" not in found[1].title


def test_room_that_waits_for_two_agents_of_one_name_is_one_room() -> None:
    """Each dispatch is one that it waits for."""
    waiting = [WaitingRoom("lobby", "bmo", "no-worker", NOW - WAITING_SECONDS - number) for number in range(3)]
    [finding] = check(known=AgentsStatus(waiting=tuple(waiting)))
    assert ("1 room" in finding.title, finding.detail) == (True, "lobby")


def test_room_that_waits_a_moment_is_no_finding() -> None:
    assert check(known=AgentsStatus(waiting=(WaitingRoom("lobby", "", "no-worker", NOW - WAITING_SECONDS + 1),))) == []


def test_reason_of_a_newer_engine_is_passed_over() -> None:
    assert check(known=AgentsStatus(waiting=(WaitingRoom("lobby", "", "unheard-of", NOW - 60),))) == []


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202e"])
def test_names_of_others_are_shown_as_text(name: str) -> None:
    """Whoever may open a room names it, and a dispatch names the agent."""
    [finding] = check(known=AgentsStatus(waiting=(WaitingRoom(name, name, "no-worker", NOW - 60),)))
    assert name not in finding.detail
    assert name not in finding.title
    assert name not in finding.subject
