"""A process that reloads its files without a restart, as the edge does."""

import os
import signal
import sys
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import pytest

from lkhub.errors import MachineError
from lkhub.host import ports, processes
from lkhub.host.holders import Holder
from lkhub.host.tcp_table import Listening
from lkhub.plan.model import Listener
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import HeldSocket
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.ports import PortRange
from lkhub.state.applied import load_applied
from lkhub.state.identity import Identity
from lkhub.supervise import change
from lkhub.supervise.adopt import adopt
from lkhub.supervise.backoff import Backoff
from lkhub.supervise.child import Child
from lkhub.supervise.reload import reload
from lkhub.supervise.supervisor import Supervisor
from lkhub.wire.control import Outcome
from tests.kit.ports import free_port
from tests.supervise.conftest import HOLD, IN_A_CALL, QUICK, MakeHub, list_running, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio


def edge_of(supervisor: Supervisor) -> Child:
    return supervisor.children["edge"]


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def read_log(paths: StatePaths, name: str = "edge") -> list[str]:
    return Path(paths.log(name)).read_text().splitlines()


def check_texts(hub: PreparedHub) -> None:
    assert {path: Path(path).read_text() for path in hub.files} == hub.files


async def test_changed_edge_is_reloaded_and_is_the_same_process(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, edge={"say": "old"}))
        before, since = pid_of(edge_of(supervisor)), edge_of(supervisor).since
        changed = make_hub(media={}, edge={"say": "new"})
        assert await supervisor.apply(changed) == Outcome((), reloaded=("edge",))
        edge = edge_of(supervisor)
        assert (pid_of(edge), edge.since, edge.state) == (before, since, "running")
        assert edge.restarts == 0, "nobody was interrupted"
        assert read_log(paths) == ["old", "reloaded new"]
        check_texts(changed)
        assert await supervisor.apply(changed) == Outcome(()), "it is what was asked for"


async def test_one_file_more_is_taken_over_by_a_reload_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    """As the key of tls.account, which the edge reads besides."""
    async with supervising(paths, said) as supervisor:
        old, new = make_hub(edge={"say": "old"}), make_hub(edge={"say": "new"})
        await supervisor.apply(old)
        [process] = new.plan.processes
        more = replace(process, files=(*process.files, paths.account_key))
        wanted = replace(new, plan=replace(new.plan, processes=(more,)))
        assert await supervisor.apply(wanted) == Outcome((), reloaded=("edge",))


async def test_other_ports_are_taken_over_by_a_reload_too(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    """The edge opens itself what it was not given when it started."""
    async with supervising(paths, said) as supervisor:
        old, new = HeldSocket("127.0.0.1", free_port()), HeldSocket("127.0.0.1", free_port())
        for held, say in ((old, "old"), (new, "new")):
            wanted = make_hub(edge={"say": say})
            [process] = wanted.plan.processes
            wanted = replace(wanted, plan=replace(wanted.plan, processes=(replace(process, listens=(held,)),)))
            applied = await supervisor.apply(wanted)
        assert applied == Outcome((), reloaded=("edge",))
        assert not supervisor.shared.held.is_open(old), "nobody may wait where nobody will come"


@pytest.mark.parametrize("addresses", [("127.0.0.1", ""), ("", "127.0.0.1")])
async def test_port_that_is_listened_to_elsewhere_takes_a_restart(
    paths: StatePaths, said: list[str], make_hub: MakeHub, addresses: tuple[str, str]
) -> None:
    """From the LAN to the internet and back: a process can't have a port at one address and everywhere at once."""
    port = free_port()
    async with supervising(paths, said) as supervisor:
        for address in addresses:
            wanted = make_hub(edge={"say": address})
            [process] = wanted.plan.processes
            wanted = replace(
                wanted, plan=replace(wanted.plan, processes=(replace(process, listens=(HeldSocket(address, port),)),))
            )
            applied = await supervisor.apply(wanted)
        assert applied == Outcome(("edge",))
        assert supervisor.shared.held.is_open(HeldSocket(addresses[1], port))


async def test_reload_does_not_wait_for_an_empty_hub(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    media = {"rooms": IN_A_CALL}
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media=media, edge={}))
        applied = await supervisor.apply(make_hub(media=media, edge={"say": "new"}))
        assert applied == Outcome((), reloaded=("edge",))
        assert supervisor.pending is None


async def test_reload_waits_with_a_change_that_interrupts(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    """The edge leads to media, and both change together."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, edge={}))
        wanted = make_hub(media={"say": "new"}, edge={"say": "new"})
        assert await supervisor.apply(wanted) == Outcome(("media",), pending=True, people=2)
        assert "reloaded new" not in read_log(paths)
        assert await supervisor.apply(wanted, now=True) == Outcome(("media",), cut=2, reloaded=("edge",))
        assert read_log(paths)[-1] == "reloaded new"


@pytest.mark.parametrize("seen", [True, False])
async def test_taken_port_is_named_before_a_process_reads_its_files_again(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    """The ports that it has are no reason to refuse, also where no process can be seen that has them: what other users
    run, and our own engine where its file has a capability."""
    own = free_port()

    def listen(port: int, index: int) -> Listener:
        key = ("sites", index, "port")
        return Listener("edge", "tcp", ip_address("127.0.0.1"), PortRange(port, port), f"site {index}", key)

    async with supervising(paths, said) as supervisor:
        good = make_hub(listeners=(listen(own, 0),), edge={"binds": own})
        await supervisor.apply(good)
        if not seen:
            monkeypatch.setattr(ports, "find_holder", lambda *_: Holder())
        port = free_port()
        seen_by_all = (Listening(own, os.geteuid()), Listening(port, os.geteuid() + 1))
        monkeypatch.setattr(change, "list_listening", lambda: seen_by_all)
        holder = processes.start([sys.executable, "-c", HOLD, str(port), "1"], paths.log("holder"), os.environ)
        await until(lambda: "holds" in read_log(paths, "holder"), "the port")
        wanted = make_hub(listeners=(listen(own, 0), listen(port, 1)), edge={"binds": own, "say": "new"})
        with pytest.raises(MachineError) as refused:
            await supervisor.apply(wanted)
        holder.kill()
        holder.wait()
        assert f"tcp port {port} (site 1) is in use by" in refused.value.message
        assert f"tcp port {own}" not in refused.value.message
        assert refused.value.message.endswith("the change was not made, and nothing was interrupted")
        assert any("sites[1].port" in hint for hint in refused.value.hints) or not seen
        assert "reloaded new" not in read_log(paths)
        check_texts(good)
        assert await supervisor.apply(wanted) == Outcome((), reloaded=("edge",))


async def test_refused_reload_leaves_the_old_one_running_and_says_so(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    good = make_hub(media={}, edge={"say": "old"})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(good)
        before, record = pid_of(edge_of(supervisor)), load_applied(paths)
        with pytest.raises(MachineError) as refused:
            await supervisor.apply(make_hub(media={}, edge={"refuse": "port 443 is taken"}))
        assert "edge refuses its new configuration: port 443 is taken" in refused.value.message
        assert refused.value.message.endswith("the change was not made, and nothing was interrupted")
        assert (pid_of(edge_of(supervisor)), edge_of(supervisor).state) == (before, "running")
        check_texts(good)
        applied = load_applied(paths)
        assert applied is not None
        assert replace(applied, begun={}) == record
        assert await supervisor.apply(good) == Outcome(())


@pytest.mark.parametrize(
    ("refuse", "why"),
    [
        ("", "it gives no reason"),
        (None, "it answers with status 422, and its reason can't be read"),
        ({"deep": "er"}, "it answers with status 422, and its reason can't be read"),
    ],
)
async def test_refusal_without_a_reason_is_a_refusal(
    paths: StatePaths, said: list[str], make_hub: MakeHub, refuse: object, why: str
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(edge={"say": "old"}))
        with pytest.raises(MachineError) as refused:
            await supervisor.apply(make_hub(edge={"refuse": refuse}))
        assert refused.value.message.startswith(f"edge refuses its new configuration: {why}\n")


async def test_refused_reload_takes_what_was_restarted_with_it_back(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    good = make_hub(serve={"say": "old"}, edge={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(good)
        with pytest.raises(MachineError, match="no such issuer"):
            await supervisor.apply(make_hub(serve={"say": "new"}, edge={"refuse": "no such issuer"}))
        check_texts(good)
        assert await supervisor.apply(good) == Outcome(())
        assert read_log(paths, "serve")[-1] == "old"
        assert len(list_running(paths)) == 2


@pytest.mark.parametrize("answer", ["", "nonsense", '{"error": 5}'])
async def test_answer_that_is_no_refusal_is_none(
    paths: StatePaths, said: list[str], make_hub: MakeHub, answer: str
) -> None:
    """The status decides: an edge of another version may say more, or less."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(edge={}))
        assert (await supervisor.apply(make_hub(edge={"garble": answer}))).reloaded == ("edge",)


async def test_edge_that_does_not_answer_keeps_what_it_has(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    good = make_hub(media={}, edge={})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(good)
        os.unlink(paths.socket("edge"))
        with pytest.raises(MachineError, match="it does not answer"):
            await supervisor.apply(make_hub(media={}, edge={"say": "new"}))
        assert edge_of(supervisor).state == "running"
        check_texts(good)


async def test_edge_that_hangs_is_not_waited_for_without_end(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(edge={}))
        supervisor.shared.timings = replace(QUICK, ready=0.1)
        os.kill(pid_of(edge_of(supervisor)), signal.SIGSTOP)
        with pytest.raises(MachineError, match="it does not answer"):
            await supervisor.apply(make_hub(edge={"say": "new"}))
        os.kill(pid_of(edge_of(supervisor)), signal.SIGCONT)


@pytest.mark.parametrize("what", ["program", "arguments"])
async def test_other_program_or_arguments_is_a_restart(
    paths: StatePaths, said: list[str], make_hub: MakeHub, what: str
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(edge={}))
        before = pid_of(edge_of(supervisor))
        wanted = make_hub(edge={"say": "new"}, program="another" if what == "program" else "actor")
        if what == "arguments":
            [plan] = wanted.plan.processes
            process = replace(plan, argv=(*plan.argv, "--more", "x"))
            wanted = replace(wanted, plan=replace(wanted.plan, processes=(process,)))
        assert await supervisor.apply(wanted) == Outcome(("edge",))
        assert pid_of(edge_of(supervisor)) != before
        assert read_log(paths)[-1] == "new"


async def test_edge_that_is_being_restarted_is_not_reloaded(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(edge={}))
        Path(paths.render("caddy.json")).write_text('{"exit": 3}')
        os.kill(pid_of(edge_of(supervisor)), signal.SIGKILL)
        await until(lambda: edge_of(supervisor).state == "backoff", "the failure")
        assert await supervisor.apply(make_hub(edge={"say": "new"})) == Outcome(("edge",))
        assert edge_of(supervisor).state == "running"


async def test_edge_that_is_new_is_started(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        assert await supervisor.apply(make_hub(media={}, edge={})) == Outcome(("edge",), new=("edge",))


async def test_edge_that_dies_after_a_reload_comes_back_with_the_new_configuration(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(edge={"say": "old"}))
        await supervisor.apply(make_hub(edge={"say": "new"}))
        before = pid_of(edge_of(supervisor))
        os.kill(before, signal.SIGKILL)
        await until(lambda: edge_of(supervisor).state == "running" and pid_of(edge_of(supervisor)) != before, "it")
        assert read_log(paths)[-1] == "new"


async def test_next_supervisor_knows_what_was_reloaded(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make_hub(media={}, edge={"say": "old"}))
        await first.apply(make_hub(media={}, edge={"say": "new"}))
        before = pid_of(edge_of(first))
        identity = Identity.parse(Path(paths.record("edge")).read_text())
        assert identity.fingerprint == edge_of(first).fingerprint
    async with supervising(paths, said) as second:
        await adopt(second)
        assert await second.apply(make_hub(media={}, edge={"say": "new"})) == Outcome(())
        newest = await second.apply(make_hub(media={}, edge={"say": "newest"}))
        assert newest == Outcome((), reloaded=("edge",)), "one that was taken over is reloaded like any other"
        assert pid_of(edge_of(second)) == before


async def test_what_runs_is_asked_of_itself(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}))
        assert "edge" not in supervisor.children
        await supervisor.apply(make_hub(media={}, edge={}))
        status = await supervisor.children["edge"].ask_status()
        assert status is not None
        assert status.state == "running"
        os.unlink(paths.socket("edge"))
        assert await supervisor.children["edge"].ask_status() is None


@pytest.mark.parametrize("again", [True, False])
async def test_edge_that_ends_between_the_decision_and_the_reload_is_what_it_was(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """It waits in backoff, or is there again with the files of the change."""
    monkeypatch.setattr(Backoff, "next_delay", lambda *_: 0.0 if again else 3600.0)
    good = make_hub(media={"rooms": IN_A_CALL}, edge={"say": "old"})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(good)
        edge = edge_of(supervisor)

        async def reload_late(child: Child, *rest: Any) -> None:
            before = pid_of(child)
            os.kill(before, signal.SIGKILL)
            await until(lambda: child.restarts == 1 and (not again or child.process is not None), "its end")
            await reload(child, *rest)

        monkeypatch.setattr(change, "reload", reload_late)
        with pytest.raises(MachineError, match="edge has ended meanwhile") as failed:
            await supervisor.apply(make_hub(media={"rooms": IN_A_CALL}, edge={"say": "new"}))
        assert "what ran before is running again" in failed.value.message
        monkeypatch.setattr(change, "reload", reload)
        assert (edge.state, edge.fingerprint) == ("running", good.fingerprints["edge"])
        assert read_log(paths)[-1] == "old"
        check_texts(good)
        assert await supervisor.apply(good) == Outcome(())


async def test_edge_that_ends_while_it_is_asked_to_reload_is_what_it_was(
    paths: StatePaths, said: list[str], make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_hub(edge={"say": "old"})
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(good)
        monkeypatch.setattr(Backoff, "next_delay", lambda *_: 3600.0)
        edge = edge_of(supervisor)
        before = pid_of(edge)
        os.kill(before, signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:

            async def end() -> None:
                await until(lambda: edge.fingerprint != good.fingerprints["edge"], "it is asked")
                os.kill(before, signal.SIGKILL)

            tasks.start_soon(end)
            with pytest.raises(MachineError, match="what ran before is running again"):
                await supervisor.apply(make_hub(edge={"say": "new"}))
        assert (edge.state, edge.fingerprint) == ("running", good.fingerprints["edge"])
        # A request that was not accepted waits in the control socket for the next process, which then reads the same
        # files twice.
        assert read_log(paths)[-1].removeprefix("reloaded ") == "old"
