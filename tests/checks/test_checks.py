from typing import Any

import pytest

from lkhub.checks.checks import check_address, check_pending, check_processes, check_supervised, check_upgrade
from lkhub.wire.control import PendingChange
from tests.reports import process_report


@pytest.mark.parametrize("state", ["starting", "running", "stopping", "stopped"])
def test_starting_process_is_no_finding(state: str) -> None:
    assert list(check_processes([process_report(state=state)], {"media": "old"})) == []


@pytest.mark.parametrize("state", ["backoff", "failed"])
def test_process_that_does_not_stay_up_shows_its_end(state: str) -> None:
    processes = [process_report(state=state), process_report(name="relay")]
    [finding] = check_processes(processes, {"media": "exit code 1"})
    assert (finding.code, finding.subject, finding.detail) == ("process-fails", "media", "exit code 1")
    assert [fix.command for fix in finding.fix] == ["lkhub logs media", "lkhub restart media"]


def test_pending_change_names_the_command_that_applies_it_now() -> None:
    assert list(check_pending(False)) == []
    [finding] = check_pending(True)
    assert finding.severity == "info"
    assert finding.fix[0].command == "lkhub up --now"


@pytest.mark.parametrize(
    ("spec", "command"),
    [(None, "lkhub up --now"), ("/a b.yaml", "lkhub up --now --spec '/a b.yaml'"), ("", None)],
)
@pytest.mark.parametrize("more", [{}, {"retired": (7,)}, {"programs": True}], ids=["calls", "retired", "programs"])
def test_command_that_applies_a_change_now_names_the_spec_of_that_change(
    spec: str | None, command: str | None, more: dict[str, Any]
) -> None:
    [finding] = check_pending(True, PendingChange(("media",), 1, spec=spec, **more))
    assert finding.fix[0].command == command


@pytest.mark.parametrize(
    ("waits", "title", "detail", "cause"),
    [
        (
            PendingChange(("relay",), 1, ("relay",)),
            "until nobody is in a call",
            "relay would restart, which would interrupt",
            "1 person is in a call",
        ),
        (
            PendingChange(("media", "serve"), 12),
            "until nobody is in a call",
            "media, serve would restart",
            "12 people are",
        ),
        (
            PendingChange(("media",), None),
            "until it is known that nobody is in a call",
            "would interrupt",
            "not known: media does not say",
        ),
        # A supervisor of another version, which does not say what the change restarts.
        (
            None,
            "until it is known that nobody is in a call",
            "that may carry calls",
            "or whether they are is not known",
        ),
    ],
)
def test_pending_change_says_what_is_known(waits: PendingChange | None, title: str, detail: str, cause: str) -> None:
    [finding] = check_pending(True, waits)
    assert title in finding.title
    assert detail in finding.detail
    assert cause in finding.cause
    if waits and waits.restarts != ("media",):
        assert "not known" not in finding.cause


def test_address_that_moved_is_an_error_with_a_command() -> None:
    assert list(check_address("")) == []
    [finding] = check_address("clients are told 192.168.1.5, and this machine is at 192.168.1.77")
    assert (finding.code, finding.subject, finding.severity) == ("address-changed", "media", "error")
    assert "192.168.1.77" in finding.detail
    assert finding.fix[0].command == "lkhub up --now"


def test_lost_address_has_no_command() -> None:
    [finding] = check_address("the hub's address is gone: tls.mode: Tailscale is switched off", ["sudo tailscale up"])
    assert (finding.code, finding.severity) == ("address-changed", "error")
    assert [fix.text for fix in finding.fix] == ["sudo tailscale up"]
    assert "DHCP" not in finding.cause
    [finding] = check_address("the hub's address is gone: no LAN address", [])
    assert finding.fix
    assert all(fix.command != "lkhub up --now" for fix in finding.fix)


def test_processes_without_a_supervisor_are_a_finding() -> None:
    assert list(check_supervised(True, ["media"])) == []
    assert list(check_supervised(False, [])) == []
    [finding] = check_supervised(False, ["media", "serve"])
    assert finding.severity == "error"
    assert "media, serve" in finding.detail
    assert finding.fix[0].command == "lkhub up"
    assert "ended" not in finding.detail
    [finding] = check_supervised(False, ["media"], ["relay"])
    assert finding.detail == "still running: media; ended since: relay"
    assert "start relay" in finding.fix[0].text


@pytest.mark.parametrize(
    ("restarts", "only_through", "interrupted"),
    [
        (["media"], [], "everyone in a call"),
        (["relay", "media"], [], "everyone in a call"),
        (["relay", "serve"], ["relay"], "people who came through relay"),
        (["relay", "edge"], ["relay", "edge"], "people who came through relay or edge"),
    ],
)
def test_pending_change_says_how_many_people_it_interrupts(
    restarts: list[str], only_through: list[str], interrupted: str
) -> None:
    [finding] = check_pending(True, PendingChange(tuple(restarts), 2, tuple(only_through)))
    assert finding.detail == f"{', '.join(restarts)} would restart, which would interrupt {interrupted}"
    # What is new or removed does not restart.
    more = PendingChange(tuple(restarts), 2, tuple(only_through), new=("edge",), gone=("agent",))
    [finding] = check_pending(True, more)
    assert f"{restarts[-1]} would restart, edge would start, agent would end, which would" in finding.detail


def test_upgrade_that_goes_on_no_more_is_finished_or_settled_for() -> None:
    [finding] = check_upgrade("/opt/old", "/opt/new", "sudo /usr/local/bin/lkhub")
    assert (finding.code, finding.severity) == ("upgrade-unfinished", "warning")
    assert "/opt/old by /opt/new" in finding.detail
    assert [fix.command for fix in finding.fix] == [
        "sudo /usr/local/bin/lkhub upgrade WHEEL",
        "sudo /usr/local/bin/lkhub install",
    ]
