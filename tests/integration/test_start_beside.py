"""A start beside another command that changes the hub's state."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lkhub.host.lock import hold_lock
from lkhub.plan.paths import StatePaths
from tests.kit.hub import Hub, make_hub
from tests.waiting import wait_until

SPEC = "drain: 0s\n"


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub that was up, and has two keys."""
    with make_hub() as made:
        made.write_spec(SPEC + made.tls_lines)
        made.environ["LKHUB_PASSPHRASE"] = "correct horse battery staple"
        made.up("--no-verify")
        done(made, "keys", "rotate")
        done(made, "down", "--now")
        yield made


def done(hub: Hub, *arguments: str) -> str:
    """What a command prints, which must succeed."""
    ended = hub.run(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def starting(hub: Hub) -> Iterator[subprocess.Popen[str]]:
    """A start that has read the hub's keys and its spec, and has not the lock yet. It goes on after the block."""
    with hold_lock(StatePaths(str(hub.state))):
        process = hub.start("up", "--no-verify")
        assert process.stderr
        while "starting media" not in (line := process.stderr.readline()):
            assert line, "it has ended"
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield process
        os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: process.poll() is not None or hub.status()["hub"]["state"] == "running", "the hub")
    finally:
        process.kill()
        process.communicate()


def list_keys(hub: Hub) -> list[str]:
    return list((hub.state / "managed-keys.yaml").read_text().split('"')[1::4])


@pytest.mark.parametrize("change", ["rotate", "revoke", "restore"])
def test_change_that_a_command_has_made_before_the_start_stays(hub: Hub, change: str) -> None:
    """A key that was revoked, perhaps since it had leaked, must not be accepted again."""
    before = list_keys(hub)
    assert len(before) == 2
    if change == "restore":
        done(hub, "backup", "hub.age")
        done(hub, "keys", "revoke", before[1], "--yes")
    with starting(hub):
        match change:
            case "rotate":
                done(hub, "keys", "rotate")
            case "revoke":
                done(hub, "keys", "revoke", before[1], "--yes")
            case "restore":
                done(hub, "restore", "--force", "hub.age")
        wanted = list_keys(hub)
    assert {"rotate": len(wanted) == 3, "revoke": wanted == before[:1], "restore": wanted == before}[change]
    assert list_keys(hub) == wanted
    assert hub.env()["LIVEKIT_API_KEY"] == wanted[0]
    accepted = (hub.state / "keys.yaml").read_text()
    assert [key for key in {*before, *wanted} if key in accepted] == [
        key for key in {*before, *wanted} if key in wanted
    ]


@pytest.mark.parametrize("keys", ["others", "the same"])
def test_start_by_another_spec_than_the_restored_one_is_refused(hub: Hub, keys: str) -> None:
    """What is restored is for that spec."""
    done(hub, "backup", "hub.age")
    if keys == "others":
        done(hub, "keys", "rotate")
    hub.write_spec(SPEC + hub.tls_lines + "name: another\n")
    with starting(hub) as start:
        done(hub, "restore", "--force", "hub.age")
        wanted = list_keys(hub)
    assert start.returncode == 3
    assert list_keys(hub) == wanted
    hub.up("--no-verify")
    assert hub.status()["hub"]["name"] == "hub"
    assert list_keys(hub) == wanted
