"""`lkhub up` in the foreground: the status comes from the supervisor in the same process."""

import errno
import threading
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from lkhub.checks.surroundings import UNSEEN
from lkhub.cli.shared import foreground, summary
from lkhub.cli.shared.progress import Progress
from lkhub.errors import HubError, MachineError, describe_error
from lkhub.host.control import ask
from lkhub.hub import examine
from lkhub.hub.status import Verified
from lkhub.plan.build import build_plan
from lkhub.plan.paths import StatePaths
from lkhub.spec.load import load_spec
from lkhub.supervise.control_server import serve_control
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import HubReport, Outcome, StatusRequest
from tests.cli.conftest import PROCESSES
from tests.machines import make_facts, make_installation
from tests.reports import hub_report
from tests.waiting import DEADLINE_SECONDS

STATUS = {"processes": PROCESSES, "failures": {}, "pending": False, "spec": None, "pid": 1}


@pytest.mark.parametrize("json", [False, True], ids=["summary", "json"])
@pytest.mark.parametrize("verify", [False, True], ids=["no-verify", "verify"])
@pytest.mark.parametrize(
    "outcome",
    [Outcome(("media",)), Outcome(("media",), pending=True), MachineError("the change was refused")],
    ids=["applied", "pending", "refused"],
)
def test_supervisor_answers_while_it_is_told_what_runs(
    applied: StatePaths,
    outcome: Outcome | HubError,
    verify: bool,
    json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = build_plan(load_spec(b""), make_facts(), make_installation(applied.root))
    asked: list[str] = []
    told: list[str] = []

    async def status(_: StatusRequest, __: object) -> HubReport:
        asked.append("status")
        return hub_report(STATUS)

    def wait_for_sites(*_: object) -> tuple[()]:
        told.append("sites are built")
        return ()

    async def run_hub(hub: Any, say: object, ready: Any) -> None:
        """As the real one: commands are answered by the loop that `ready` is awaited in."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(partial(serve_control, applied.control, {StatusRequest: status}, tasks))
            await ready(SimpleNamespace(tasks=tasks, stopping=False), outcome)
            tasks.cancel_scope.cancel()

    def verify_hub(*_: object, **__: object) -> Verified:
        ask(applied.control, StatusRequest())
        return Verified(1.0, ())

    monkeypatch.setattr(foreground, "run_hub", run_hub)
    monkeypatch.setattr(examine, "verify_hub", verify_hub)
    monkeypatch.setattr(examine, "wait_for_certificates", lambda *_: ask(applied.control, StatusRequest()))
    monkeypatch.setattr(examine, "gather_surroundings", lambda *_: UNSEEN)
    monkeypatch.setattr(examine, "wait_for_sites", wait_for_sites)
    monkeypatch.setattr(foreground, "tell_manager", lambda **fields: told.append(fields["STATUS"]))
    hub: Any = SimpleNamespace(plan=plan)
    assert foreground.run_foreground(hub, Progress(), verify=verify, link=False, json=json) == 0
    result = told[-1]
    assert told == ["the processes run", result, "sites are built", result], "a build takes minutes"
    assert ("was not tried" in result) is not verify
    shown = capsys.readouterr()
    assert asked
    assert "does not answer" not in shown.err
    assert ('"processes"' if json else "hub is up") in shown.out
    assert ("the change was refused" in shown.err) is isinstance(outcome, HubError)
    if not json:
        is_pending = isinstance(outcome, Outcome) and outcome.pending
        assert ("with a change that waits" in shown.out) is is_pending


@pytest.mark.parametrize("when", ["certificates", "calls"])
def test_hub_that_is_stopped_does_not_wait_until_everything_is_reported(
    applied: StatePaths, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` or Ctrl-C while `up` waits for a certificate, or calls itself: the next `up` needs the lock."""
    plan = build_plan(load_spec(b""), make_facts(), make_installation(applied.root))
    supervisor: Any = SimpleNamespace(stopping=False)
    happened: list[str] = []
    began, down, threads = threading.Event(), threading.Event(), []

    def stay(*_: object, **__: object) -> Verified:
        threads.append(threading.current_thread())
        began.set()
        down.wait(DEADLINE_SECONDS / 2)
        happened.append("told")
        return Verified(1.0, ())

    async def run_hub(hub: Any, say: object, ready: Any) -> None:
        async with anyio.create_task_group() as tasks:
            supervisor.tasks = tasks
            tasks.start_soon(ready, supervisor, Outcome(("media",)))
            await anyio.to_thread.run_sync(began.wait, DEADLINE_SECONDS)
            supervisor.stopping = True
            tasks.cancel_scope.cancel()

    def note(*_: object, **__: object) -> Verified:
        happened.append("told of what is down")
        return Verified(1.0, ())

    monkeypatch.setattr(foreground, "run_hub", run_hub)
    monkeypatch.setattr(examine, "wait_for_certificates", stay if when == "certificates" else lambda *_: None)
    monkeypatch.setattr(examine, "verify_hub", stay if when == "calls" else note)
    monkeypatch.setattr(examine, "gather_surroundings", lambda *_: UNSEEN)
    monkeypatch.setattr(summary, "show_examined", note)
    said: list[str] = []
    monkeypatch.setattr(foreground, "tell_manager", lambda **fields: said.append(fields["STATUS"]))
    hub: Any = SimpleNamespace(plan=plan)
    assert foreground.run_foreground(hub, Progress(), verify=True, link=False, json=False) == 0
    happened.append("down")
    down.set()
    [thread] = threads
    thread.join(DEADLINE_SECONDS)
    assert happened == ["down", "told"]
    assert said == ["the processes run"]


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (RuntimeError("SECRETSECRET"), 70, "this is a bug in lkhub: RuntimeError"),
        (ImportError("no module"), 70, "this is a bug in lkhub: ImportError"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            3,
            "can't report on the start of the hub: OSError (No space",
        ),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),
    ],
    ids=["bug", "import", "full-disk", "no-reader"],
)
def test_failure_to_report_ends_no_hub(
    applied: StatePaths,
    error: Exception,
    code: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever fails in the thread that examines the hub: the hub runs on until it is stopped."""
    plan = build_plan(load_spec(b""), make_facts(), make_installation(applied.root))
    went_on: list[bool] = []

    async def run_hub(hub: Any, say: Any, ready: Any) -> None:
        async with anyio.create_task_group() as tasks:
            try:
                await ready(SimpleNamespace(tasks=tasks, stopping=False), Outcome(("media",)))
            except OSError as failure:  # as the real one
                say(f"can't report on the start of the hub: {describe_error(failure)}")
            went_on.append(True)
            tasks.cancel_scope.cancel()

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(foreground, "run_hub", run_hub)
    monkeypatch.setattr(examine, "examine_hub", fail)
    hub: Any = SimpleNamespace(plan=plan)
    assert foreground.run_foreground(hub, Progress(), verify=True, link=False, json=False) == code
    assert went_on
    told = capsys.readouterr()
    assert told.out == ""
    assert shown in told.err
    assert ("bug" in told.err or "can't" in told.err) is bool(shown)
    assert "SECRETSECRET" not in told.err


@pytest.mark.anyio
async def test_status_line_that_fails_ends_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def describe(_: object) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(foreground, "is_screen", lambda _: True)
    monkeypatch.setattr(foreground, "_describe", describe)
    await foreground._show_live(cast(Supervisor, None))


def make_child(name: str, state: str, *, done: bool = False) -> object:
    return SimpleNamespace(plan=SimpleNamespace(name=name), state=state, done=done)


@pytest.mark.anyio
async def test_status_line_tells_what_is_done_from_what_is_stopped(applied: StatePaths) -> None:
    async with anyio.create_task_group() as tasks:
        supervisor = Supervisor(applied, lambda _: None, tasks)
        supervisor.children["site-web"] = cast(Any, make_child("site-web", "stopped", done=True))
        supervisor.children["media"] = cast(Any, make_child("media", "stopped"))
        assert str(foreground._describe(supervisor)) == "site-web done · media stopped · Ctrl-C stops"


@pytest.mark.anyio
async def test_status_line_says_what_the_next_ctrl_c_does(applied: StatePaths) -> None:
    async with anyio.create_task_group() as tasks:
        supervisor = Supervisor(applied, lambda _: None, tasks)
        supervisor.children["media"] = cast(Any, make_child("media", "running"))
        lines = [str(foreground._describe(supervisor))]
        supervisor.fleet.stopping = True
        lines.append(str(foreground._describe(supervisor)))
        supervisor.hurries = True
        lines.append(str(foreground._describe(supervisor)))
    assert lines == ["media running · Ctrl-C stops", "media running · Ctrl-C stops now", "media running"]
