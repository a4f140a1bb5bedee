"""Other keys for a hub that runs: no process is restarted that can read them again."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from lkhub.errors import HubError, InputError, MachineError
from lkhub.host import files
from lkhub.host.keyfile import Keys, add_current, load_keys, revoke_key
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub, digest_files
from lkhub.prepare.ring import read_keys, replace_keys
from lkhub.secret import Secret
from lkhub.state.ring import read_notes
from lkhub.supervise.adopt import adopt
from lkhub.supervise.reload import reload
from lkhub.wire.control import KeysChanged, Outcome
from tests.supervise.conftest import IN_A_CALL, MakeHub, list_running, pids, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio

OLD: Keys = {"APIold": Secret("o" * 32)}
NEW = "APInew", Secret("n" * 32)

MakeKeyed = Callable[..., PreparedHub]


def rotated(keys: Keys) -> Keys:
    return add_current(keys, *NEW)


@pytest.fixture
def make_keyed(paths: StatePaths, make_hub: MakeHub) -> MakeKeyed:
    """A hub with generated keys: media reads them again, or with `restarts` at its start alone."""

    def make(keys: Keys = OLD, *, restarts: bool = False, **media: Any) -> PreparedHub:
        hub = make_hub(media={"keys": paths.keys, **media}, serve={})
        first, *others = hub.plan.processes
        reads = {"files": (*first.files, paths.keys)} if restarts else {"rereads": (paths.keys,)}
        first = replace(first, **reads)
        hub = replace(hub, plan=replace(hub.plan, processes=(first, *others)))
        hub = replace_keys(replace(hub, files={**hub.files, paths.managed_keys: "", paths.keys: ""}), keys)
        digest = replace(hub.fingerprints["media"], files=digest_files(first, hub.files))
        return replace(hub, fingerprints={**hub.fingerprints, "media": digest})

    return make


def log_of(paths: StatePaths) -> list[str]:
    return [line for line in Path(paths.log("media")).read_text().splitlines() if line.startswith("keys")]


def on_disk(paths: StatePaths) -> list[list[str]]:
    return [list(load_keys(path)) for path in (paths.managed_keys, paths.keys)]


async def test_rotation_restarts_nothing_and_is_accepted_before_it_signs(
    paths: StatePaths, said: list[str], make_keyed: MakeKeyed
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_keyed(rooms=IN_A_CALL))
        before = pids(supervisor)
        assert await supervisor.take_keys(rotated) == KeysChanged("APInew", ("APIold",))
        assert pids(supervisor) == before
        assert log_of(paths) == ["keys APIold APInew", "keys APInew APIold"]
        assert on_disk(paths) == [["APInew", "APIold"]] * 2
        assert await supervisor.take_keys(lambda keys: revoke_key(keys, "APIold")) == KeysChanged("APInew", ())
        assert log_of(paths)[2:] == ["keys APInew"]
        assert on_disk(paths) == [["APInew"]] * 2
        assert pids(supervisor) == before
        # What is in force now is what the next `up` prepares: it changes nothing.
        assert await supervisor.apply(make_keyed(dict([NEW]), rooms=IN_A_CALL)) == Outcome(())
    notes = read_notes(paths)
    assert list(notes) == ["APInew"]
    assert notes["APInew"].made is not None


async def test_missing_key_file_is_written_again_with_the_keys_of_now(
    paths: StatePaths, said: list[str], make_keyed: MakeKeyed
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_keyed())
        await supervisor.take_keys(rotated)
        for path in (paths.keys, paths.managed_keys):
            Path(path).unlink()
        await supervisor.write_missing()
        assert on_disk(paths) == [["APInew", "APIold"]] * 2


async def test_keys_that_are_refused_change_nothing(paths: StatePaths, said: list[str], make_keyed: MakeKeyed) -> None:
    async with supervising(paths, said) as supervisor:
        hub = make_keyed(rooms=IN_A_CALL)
        await supervisor.apply(hub)
        before = pids(supervisor)
        refuses = make_keyed(refuse="the key file is broken")
        Path(paths.render("livekit.yaml")).write_text(refuses.files[paths.render("livekit.yaml")])
        with pytest.raises(MachineError, match="the key file is broken\nthe keys are as they were"):
            await supervisor.take_keys(rotated)
        assert on_disk(paths) == [["APIold"]] * 2
        assert supervisor.in_force.hub is hub
        # It is not known what media has read, so it is told once more: without a restart.
        Path(paths.render("livekit.yaml")).write_text(hub.files[paths.render("livekit.yaml")])
        assert await supervisor.apply(hub) in (Outcome((), reloaded=("media",)), Outcome(()))
        assert pids(supervisor) == before


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.EMFILE, "Too many open files"), MachineError),
        (ExceptionGroup("x", [OSError(errno.EMFILE, "Too many open files")]), MachineError),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
async def test_keys_are_as_they_were_where_an_error_comes_halfway(
    paths: StatePaths,
    said: list[str],
    make_keyed: MakeKeyed,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
    error: Exception,
    raised: type[Exception],
) -> None:
    """The next `up` would bring the new keys else, of which the operator was told that they are not there."""
    calls = iter(range(1, 100))

    async def reload_or_fail(*arguments: Any) -> None:
        if next(calls) == call:
            raise error
        await reload(*arguments)

    async with supervising(paths, said) as supervisor:
        hub = make_keyed(rooms=IN_A_CALL)
        await supervisor.apply(hub)
        before = pids(supervisor)
        with monkeypatch.context() as patch:
            patch.setattr("lkhub.supervise.key_change.reload", reload_or_fail)
            with pytest.raises(raised, match="the keys are as they were" if raised is MachineError else "a bug"):
                await supervisor.take_keys(rotated)
        assert on_disk(paths) == [["APIold"]] * 2
        assert log_of(paths)[-1] == "keys APIold"
        assert await supervisor.apply(hub) == Outcome(())
        assert pids(supervisor) == before


@pytest.mark.parametrize("wrong", ["APInowhere", "APIold", ""])
async def test_key_that_must_stay_is_not_revoked(
    paths: StatePaths, said: list[str], make_keyed: MakeKeyed, wrong: str
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_keyed())
        with pytest.raises(InputError):
            await supervisor.take_keys(lambda keys: revoke_key(keys, wrong))
        assert log_of(paths) == []
        assert list(load_keys(paths.keys)) == ["APIold"]


async def test_keys_of_the_spec_are_left_alone(paths: StatePaths, said: list[str], make_keyed: MakeKeyed) -> None:
    async with supervising(paths, said) as supervisor:
        hub = make_keyed()
        given = replace(hub, files={path: text for path, text in hub.files.items() if path != paths.managed_keys})
        await supervisor.apply(given)
        with pytest.raises(InputError, match="the spec names the keys"):
            await supervisor.take_keys(rotated)
        assert not Path(paths.managed_keys).exists()


async def test_server_that_reads_its_keys_at_its_start_waits_for_the_end_of_calls(
    paths: StatePaths, said: list[str], make_keyed: MakeKeyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare_again(hub: PreparedHub) -> PreparedHub:
        return replace_keys(hub, load_keys(paths.managed_keys))

    monkeypatch.setattr("lkhub.supervise.supervisor.prepare_again", prepare_again)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_keyed(restarts=True, rooms=IN_A_CALL))
        before = pids(supervisor)
        waits = await supervisor.take_keys(rotated)
        assert waits == KeysChanged("APInew", ("APIold",), pending=True, people=2)
        assert pids(supervisor) == before
        assert on_disk(paths) == [["APInew", "APIold"], ["APIold"]], "nothing is signed with a key that media lacks"
        cut = await supervisor.take_keys(lambda keys: keys, now=True)
        assert (cut.pending, cut.cut) == (False, 2)
        assert pids(supervisor)["media"] != before["media"]
        assert pids(supervisor)["serve"] == before["serve"]
        assert on_disk(paths) == [["APInew", "APIold"]] * 2


async def test_pending_change_brings_the_keys_of_now(paths: StatePaths, said: list[str], make_keyed: MakeKeyed) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_keyed(rooms=IN_A_CALL))
        assert (await supervisor.apply(make_keyed(say="other", rooms=IN_A_CALL))).pending
        await supervisor.take_keys(rotated)
        assert supervisor.pending is not None
        assert list(read_keys(supervisor.pending.hub)) == ["APInew", "APIold"]
        assert list(load_keys(paths.keys)) == ["APInew", "APIold"]


async def test_next_supervisor_finishes_a_rotation_without_a_restart(
    paths: StatePaths, said: list[str], make_keyed: MakeKeyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor is killed before, between and after the writes of the files."""
    async with supervising(paths, said, leave=True) as supervisor:
        await supervisor.apply(make_keyed(rooms=IN_A_CALL))
        media = pids(supervisor)["media"]
    for writes in range(6):
        async with supervising(paths, said, leave=True) as killed:
            await adopt(killed, make_keyed().plan.processes)
            await killed.apply(make_keyed(rooms=IN_A_CALL))
            with monkeypatch.context() as patch:
                kill_after(patch, writes)
                with pytest.raises(_Killed):
                    await killed.take_keys(rotated)
        async with supervising(paths, said, leave=True) as following:
            planned = make_keyed(load_keys(paths.managed_keys), rooms=IN_A_CALL)
            await adopt(following, planned.plan.processes)
            await following.apply(planned)
            assert pids(following)["media"] == media, f"killed after {writes} writes"
            expected = ["APInew", "APIold"] if writes else ["APIold"]
            assert on_disk(paths) == [expected, expected], f"killed after {writes} writes"
            assert not writes or log_of(paths)[-1] == "keys APInew APIold"
    async with supervising(paths, said) as last:
        await adopt(last)


class _Killed(BaseException):
    """The supervisor ends here, and undoes nothing."""


def kill_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Let so many files be written."""
    left = [None] * writes
    write_private = files.write_private

    def write(*arguments: Any, **options: Any) -> bool:
        if not left:
            raise _Killed
        left.pop()
        return write_private(*arguments, **options)

    for place in ("lkhub.host.files", "lkhub.prepare.ring", "lkhub.state.document"):
        monkeypatch.setattr(f"{place}.write_private", write)


async def test_media_that_died_with_its_supervisor_starts_with_the_keys_of_now(
    paths: StatePaths, said: list[str], make_keyed: MakeKeyed
) -> None:
    async with supervising(paths, said, leave=True) as supervisor:
        await supervisor.apply(make_keyed())
    [media] = [each for each in list_running(paths) if paths.socket("media") in each.cmdline()]
    media.kill()
    await until(lambda: media not in list_running(paths))
    async with supervising(paths, said) as following:
        planned = make_keyed(rotated(OLD))
        await adopt(following, planned.plan.processes)
        assert "media died with its supervisor; starting it again" in said
        # It was started before the new keys were written, so it is told to read them.
        assert await following.apply(planned) == Outcome((), reloaded=("media",))
        assert log_of(paths) == ["keys APInew APIold"]


async def test_rotations_come_one_after_the_other(paths: StatePaths, said: list[str], make_keyed: MakeKeyed) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_keyed())

        async def rotate(name: str) -> None:
            await supervisor.take_keys(lambda keys: add_current(keys, name, Secret(name * 32)))

        async with anyio.create_task_group() as tasks:
            for name in ("a", "b", "c"):
                tasks.start_soon(rotate, name)
        assert sorted(load_keys(paths.keys)) == ["APIold", "a", "b", "c"]
        assert on_disk(paths)[0] == on_disk(paths)[1]


async def test_stopping_hub_keeps_its_keys(paths: StatePaths, said: list[str], make_keyed: MakeKeyed) -> None:
    async with supervising(paths, said) as supervisor:
        with pytest.raises(HubError, match="no spec is in force"):
            await supervisor.take_keys(rotated)
        await supervisor.apply(make_keyed())
        supervisor.fleet.stopping = True
        with pytest.raises(HubError, match="the hub is stopping"):
            await supervisor.take_keys(rotated)
        supervisor.fleet.stopping = False
