"""Relayed participants are told when the relay is a new process."""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lkhub.plan.paths import StatePaths
from lkhub.supervise.supervisor import Supervisor
from tests.supervise.conftest import MakeHub, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio

TOLD = "2 of its clients were told to connect again"


async def kill(supervisor: Supervisor, make_hub: MakeHub) -> None:
    process = supervisor.children["relay"].process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)


async def restart(supervisor: Supervisor, make_hub: MakeHub) -> None:
    await supervisor.restart(["relay"])


async def change(supervisor: Supervisor, make_hub: MakeHub) -> None:
    await supervisor.apply(make_hub(media={"relayed": 2}, relay={"say": "changed"}, serve={}))


async def give_up(supervisor: Supervisor, make_hub: MakeHub) -> None:
    await supervisor.apply(make_hub(media={"relayed": 2}, serve={}))


@pytest.mark.parametrize("happens", [kill, restart, change, give_up])
async def test_media_tells_the_relays_clients_to_connect_again(
    paths: StatePaths,
    said: list[str],
    make_hub: MakeHub,
    happens: Callable[[Supervisor, MakeHub], Awaitable[None]],
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"relayed": 2}, relay={}, serve={}))
        assert TOLD not in "\n".join(said), "the first relay has no clients from before"
        await happens(supervisor, make_hub)
        await until(lambda: TOLD in "\n".join(said), "the word about it")


async def test_clients_of_the_earlier_relay_are_told(paths: StatePaths, said: list[str], make_hub: MakeHub) -> None:
    """Their packets came from where it was, and not from where it is."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={}, relay={"say": "before"}, serve={}))
        await supervisor.apply(make_hub(media={}, relay={"say": "after"}, serve={}))
        assert '"say":"before"}' in Path(paths.log("media")).read_text()


async def test_damaged_configuration_is_said_and_the_relay_runs(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
        Path(paths.render("relay.json")).write_text("{")
        await supervisor.apply(make_hub(media={}, relay={"say": "after"}, serve={}))
        assert "media could not tell the relay's clients to connect again" in "\n".join(said)


async def test_no_other_process_has_clients_that_would_wait(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub(media={"relayed": 2}, relay={}, serve={}))
        await supervisor.restart(["serve"])
        await supervisor.restart(["media"])
        assert TOLD not in "\n".join(said)


async def test_media_that_does_not_answer_is_said_and_the_relay_runs(
    paths: StatePaths, said: list[str], make_hub: MakeHub
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make_hub())
        os.unlink(paths.socket("media"))
        await supervisor.restart(["relay"])
        assert "media could not tell the relay's clients to connect again" in "\n".join(said)
        assert supervisor.children["relay"].state == "running"
