"""How commands handle the answers of a supervisor: of the same version, of another version, and one that does not
answer."""

import os
import socket

import pytest

from lkhub.host import control
from lkhub.plan.paths import StatePaths
from tests.cli.conftest import FakeSupervisor, Run


def test_status_is_that_of_the_supervisor(run: Run, supervisor: FakeSupervisor) -> None:
    assert run("status").code == 0
    supervisor.answers["status"]["pending"] = True
    found = run("status", "--json")
    assert (found.code, [finding["code"] for finding in found.json["findings"]]) == (0, ["change-pending"])


def test_supervisor_that_tells_more_than_is_known_is_understood(run: Run, supervisor: FakeSupervisor) -> None:
    for do, more in (("apply", {"moved": ["x"]}), ("status", {"weather": {"a": 1}}), ("restart", {"why": "x"})):
        supervisor.answers[do] = {**supervisor.answers[do], **more, "lkhub": "9.9.9", "also": 1}
    for command in (("up", "--no-verify"), ("status",), ("status", "--json"), ("restart",), ("down",)):
        done = run(*command)
        assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("do", "lacks", "command"),
    [
        ("status", "processes", ("status",)),
        ("status", "processes", ("restart",)),
        ("restart", "restarted", ("restart",)),
        ("restart", "people", ("restart",)),
        ("apply", "changed", ("up", "--no-verify")),
    ],
)
def test_missing_keys_of_another_version_are_reported_and_no_bug(
    run: Run, supervisor: FakeSupervisor, do: str, lacks: str, command: tuple[str, ...]
) -> None:
    less = {key: value for key, value in supervisor.answers[do].items() if key != lacks}
    supervisor.answers[do] = {**less, "lkhub": "0.0.9"}
    done = run(*command)
    assert (done.code, done.out) == (3, "")
    assert f"supervisor (lkhub 0.0.9) does not tell '{lacks}'" in done.err
    assert "`lkhub down`, then `lkhub up`" in done.err


def test_what_has_a_default_need_not_be_told(run: Run, supervisor: FakeSupervisor) -> None:
    supervisor.answers["apply"] = {"changed": ["serve"]}
    done = run("up", "--no-verify")
    assert done.code == 0
    assert "restarted serve" in done.err


@pytest.mark.parametrize("command", [("up", "--no-verify"), ("status",), ("restart",), ("down",)])
def test_supervisor_that_does_not_answer_is_reported_by_every_command(
    run: Run, applied: StatePaths, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(control, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(control, "PING_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(applied.control)
        hung.listen()
        done = run(*command)
    assert (done.code, done.out) == (1, "")
    assert f"the hub's supervisor does not answer (pid {os.getpid()}" in done.err
    assert f"`kill -9 {os.getpid()}`, then `lkhub up`" in done.err
    assert "is down" not in done.err
