"""One upgrade of a service at a time, and what is asked of this machine for it."""

import fcntl
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from lkhub.errors import MachineError
from lkhub.host.another import AnotherLkhub
from lkhub.host.control import NotRunningError
from lkhub.host.programs import HALF_MADE
from lkhub.hub import copies
from lkhub.hub.copies import opening_copies
from lkhub.hub.upgrade import Wanted
from lkhub.livekit.tokens import PROBE_ROOM_PREFIX
from lkhub.plan.service import Service, user_service
from lkhub.state.upgrade import Condition, name_lock
from lkhub.wire.control import HubReport, ProcessReport, StatusRequest
from lkhub.wire.engine import MediaStatus, Room
from tests.hub.conftest import Told


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    (Path(made.programs) / "0.1.0-aaaaaaaa/bin").mkdir(parents=True)
    Path(made.current).symlink_to(f"{made.programs}/0.1.0-aaaaaaaa")
    return made


def test_one_upgrade_waits_for_another(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "POLL_SECONDS", 0.0)
    told = Told()
    held = os.open(name_lock(service), os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)

    def end_other(*_: str) -> None:
        told.lines.append("waits")
        os.close(held)

    monkeypatch.setattr(told, "tell", end_other)
    with opening_copies(service, told) as opened:
        assert opened.find_current().endswith("0.1.0-aaaaaaaa")
    assert told.lines == ["waits"]


def test_upgrade_that_goes_on_for_long_is_an_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(copies, "LOCK_SECONDS", 0.0)
    with (
        opening_copies(service, Told()),
        pytest.raises(MachineError, match="another `lkhub upgrade` goes on"),
        opening_copies(service, Told()),
    ):
        pass


def report(*rooms: Room, finishing: int | None = 0) -> HubReport:
    """Of a hub with these rooms, and as many people in the calls of an earlier media process."""
    earlier = ProcessReport("media", 2, "stopping", 0.0, roles=("knows-participants",), people=finishing)
    agent = ProcessReport("agent-bmo", 3, "stopping", 0.0, roles=("registers",))
    return HubReport(1, (), media=MediaStatus(1, "running", rooms=rooms), retired=(earlier, agent))


def raising(error: Exception) -> Callable[..., object]:
    def ask(*_: object) -> object:
        raise error

    return ask


@pytest.mark.parametrize(
    ("ask", "people"),
    [
        (lambda *_: report(), 0),
        (lambda *_: report(Room("a", 2), Room("b", 1)), 3),
        (lambda *_: report(Room("a", 2), Room(f"{PROBE_ROOM_PREFIX}1", 2)), 2),
        (lambda *_: report(Room("a", 2), finishing=4), 6),
        (lambda *_: report(Room("a", 2), finishing=None), None),
        (raising(NotRunningError()), 0),
        (raising(NotRunningError(busy=True)), None),
        (raising(MachineError("another version")), None),
    ],
    ids=[
        "nobody",
        "people",
        "people and probes",
        "people of earlier media",
        "earlier media that does not tell",
        "no supervisor",
        "a supervisor that starts",
        "no answer",
    ],
)
def test_people_are_counted_by_the_supervisor(
    service: Service, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., object], people: int | None
) -> None:
    monkeypatch.setattr(copies, "ask", ask)
    with opening_copies(service, Told()) as opened:
        assert opened.count_people() == people


def test_people_are_counted_as_they_are_now(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor asks its processes every ten seconds, and a call may have begun since."""
    asked: list[StatusRequest] = []

    def ask(_: str, request: StatusRequest) -> HubReport:
        asked.append(request)
        return report()

    monkeypatch.setattr(copies, "ask", ask)
    with opening_copies(service, Told()) as opened:
        opened.count_people()
    assert asked == [StatusRequest(max_age=0.0)]


def test_what_a_killed_upgrade_has_left_is_ended_and_removed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Path(service.programs, f".{HALF_MADE}1")
    left.mkdir()
    ended: list[str] = []
    monkeypatch.setattr(AnotherLkhub, "end_tries", lambda _, user: ended.append(user))
    for each in (service, replace(service, of_user=False)):
        with opening_copies(each, Told()) as opened:
            opened.remove_half_made()
    assert (left.exists(), ended) == (False, ["", "ann"])


def make_program(service: Service, script: str) -> str:
    program = Path(service.current, "bin/lkhub")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return os.path.realpath(service.current)


def test_hub_is_verified_where_that_was_not_done(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lkhub.host.systemd.Systemd.is_starting", lambda *_: False)
    head = '"hub": {"state": "running"}, "processes": [], "findings": []'
    done = '{"paths": [{"path": "udp", "ok": true, "detail": ""}]}'
    folder = make_program(
        service,
        f"cd {service.programs}; echo $1 >>asked\n"
        f"[ $1 != verify ] || touch done\n"
        f"verified=null; [ ! -e done ] || verified='{done}'\n"
        f"echo '{{{head}, \"verified\": '$verified'}}'",
    )
    with opening_copies(service, Told()) as opened:
        assert opened.ask_condition(folder) == Condition(running=True, proved=("udp",))
        opened.ask_condition(folder)
        opened.ask_condition(folder, anew=True)
    asked = Path(service.programs, "asked").read_text().split()
    assert asked == ["status", "verify", "status", "status", "status", "verify", "status"]


def test_hub_that_does_not_answer_does_not_run(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    starting = [True, True, False]
    monkeypatch.setattr("lkhub.host.systemd.Systemd.is_starting", lambda *_: starting.pop(0))
    monkeypatch.setattr(copies, "POLL_SECONDS", 0.0)
    folder = make_program(service, "exit 1")
    with opening_copies(service, Told()) as opened:
        assert opened.ask_condition(folder) == Condition()
    assert starting == []


def test_status_that_makes_no_sense_is_an_error(service: Service) -> None:
    folder = make_program(service, 'echo \'{"hub": 1, "verified": 1}\'')
    with opening_copies(service, Told()) as opened, pytest.raises(MachineError, match="can't be read"):
        opened.ask_condition(folder)


def test_copy_in_use_is_not_removed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types `lkhub upgrade` to have one taken back runs the copy that is not wanted any more."""
    runs, used, left = (Path(service.programs, f"0.{n}.0-bbbbbbbb") for n in (2, 3, 4))
    for folder in (runs, used, left):
        folder.mkdir()
    monkeypatch.setattr(sys, "prefix", str(runs))
    monkeypatch.setattr(copies, "list_used", lambda _: (os.path.realpath(used),))
    with opening_copies(service, Told()) as opened:
        for folder in (runs, used, left):
            opened.remove(str(folder))
        assert [folder.exists() for folder in (runs, used, left)] == [True, True, False]
        opened.remove_others(opened.find_current())
    assert [folder.exists() for folder in (runs, used)] == [True, True]


def test_copy_is_named_as_the_one_that_runs_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a home directory is below a link, a copy would not be known for the one that runs, and be removed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "real")
    service = user_service(f"{tmp_path}/home", str(tmp_path / "state"), "ann")
    made = f"{service.programs}/0.2.0-bbbbbbbb"
    Path(made).mkdir(parents=True)
    Path(service.current).symlink_to(made)
    monkeypatch.setattr(copies, "copy_version", lambda *_, **__: made)
    monkeypatch.setattr(copies, "restore_labels", lambda _: None)
    with opening_copies(service, Told()) as opened:
        assert opened.make(Wanted(Version("0.2.0"))) == opened.find_current()


def test_copy_has_the_uv_of_the_one_before(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new version would refuse a hub with agents: no wheel brings uv along, and it need not be on the PATH."""
    made = Path(service.programs, "0.2.0-bbbbbbbb")
    (made / "bin").mkdir(parents=True)
    Path(service.current, "bin/uv").write_text("uv")
    monkeypatch.setattr(copies, "copy_version", lambda *_, **__: str(made))
    monkeypatch.setattr(copies, "restore_labels", lambda _: None)
    with opening_copies(service, Told()) as opened:
        opened.make(Wanted(Version("0.2.0")))
    assert (made / "bin/uv").read_text() == "uv"
    assert os.access(made / "bin/uv", os.X_OK)
