"""A disk that is full: no process and no change is lost for want of a record or a log."""

import os
import shutil
import signal

import pytest

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.plan.paths import StatePaths
from lkhub.state.applied import load_applied
from lkhub.state.identity import read_record
from tests.supervise.conftest import (
    MakeHub,
    pids,
    states,
    status_of,
    supervising,
    watch,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio


def full(*_: object, **__: object) -> bool:
    raise MachineError("can't write it: the disk is full", code="a-reason")


async def test_process_that_dies_on_a_full_disk_is_started_without_a_record_and_gets_one_later(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, serve={}))
        media = pids(supervisor)["media"]
        assert media is not None
        with monkeypatch.context() as disk:
            disk.setattr(files, "write_private", full)
            os.kill(media, signal.SIGKILL)
            await until(lambda: states(supervisor)["media"] == "running" and pids(supervisor)["media"] != media, "it")
            second = pids(supervisor)["media"]
            status = status_of(supervisor)
            assert status["unrecorded"] == {"media": "can't write it: the disk is full"}
            assert status["unrecorded_codes"] == {"media": "a-reason"}
            assert supervisor.children["media"].restarts == 1
        watch(supervisor, supervisor.write_missing)
        await until(lambda: not status_of(supervisor)["unrecorded"], "the record")
        assert status_of(supervisor)["unrecorded_codes"] == {}
        identity = read_record(paths, "media")
        assert identity is not None
        assert identity.process.pid == second == pids(supervisor)["media"]
        assert sum("runs without a record" in line for line in said) == 1


async def test_record_that_could_not_be_read_for_a_moment_is_no_trouble_that_stays(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the supervisor had no free descriptor: the record was there all the time."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        with monkeypatch.context() as moment:
            moment.setattr(files, "read_text", full)
            moment.setattr(files, "write_private", full)
            supervisor.children["media"].keep_record()
            assert status_of(supervisor)["unrecorded"]
        await supervisor.write_missing()
        assert status_of(supervisor)["unrecorded"] == {}
        recorded = read_record(paths, "media")
        assert recorded is not None
        assert recorded.process.pid == pids(supervisor)["media"]


async def test_process_that_dies_where_no_log_can_be_written_is_started_without_one(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        media = pids(supervisor)["media"]
        assert media is not None
        shutil.rmtree(paths.logs)
        os.kill(media, signal.SIGKILL)
        await until(lambda: states(supervisor)["media"] == "running" and pids(supervisor)["media"] != media, "it")
        assert any("media runs without a log" in line for line in said)


async def test_change_in_force_whose_record_could_not_be_written_is_recorded_later(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def applied_at() -> float:
        record = load_applied(paths)
        assert record is not None
        return record.at

    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(serve={}))
        before = applied_at()
        with monkeypatch.context() as disk:
            disk.setattr("lkhub.supervise.in_force.write_applied", full)
            assert (await supervisor.apply(make_hub(serve={"say": "new"}))).changed == ("serve",)
        assert applied_at() == before
        await supervisor.write_missing()
        assert applied_at() > before
