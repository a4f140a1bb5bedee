"""Backup and restore of real hubs: while requests come in, and on another machine."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lkhub.host.engine import bundled_engine
from tests.kit.hub import Hub, free_ports, make_hub
from tests.waiting import wait_until

PASSPHRASE = "correct horse battery staple"

SPEC = """
access:
  modes: [api-keys]
  limits: {caller: off, room: off}
rooms: [{match: "*", capacity: 1000}]
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Hub]:
    with make_hub() as hub:
        hub.write_spec(SPEC + hub.tls_lines)
        hub.environ["LKHUB_PASSPHRASE"] = PASSPHRASE
        hub.up("--no-verify")
        yield hub


@contextmanager
def another_machine(ports: dict[str, int] | None = None) -> Iterator[Hub]:
    """A folder and a state directory without a hub."""
    with make_hub(ports=ports) as hub:
        hub.spec.unlink()
        hub.environ["LKHUB_PASSPHRASE"] = PASSPHRASE
        yield hub


def create_key(hub: Hub) -> str:
    return hub.run("access", "create", "app").stdout.strip()


def ask(hub: Hub, key: str) -> httpx.Response:
    url = f"https://127.0.0.1:{hub.ports['https']}/api/livekit/token"
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(url, json={"room": "lobby"}, headers=headers, trust_env=False, verify=False, timeout=30)


@contextmanager
def load(hub: Hub, key: str) -> Iterator[list[int]]:
    """Ask for tokens all the time. Yields the statuses."""
    seen: list[int] = []
    ended = threading.Event()

    def request() -> None:
        while not ended.is_set():
            seen.append(ask(hub, key).status_code)

    threads = [threading.Thread(target=request) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def backup(hub: Hub, name: str = "hub.age") -> Path:
    done = hub.run("backup", name)
    assert done.returncode == 0, done.stderr
    return hub.folder / name


def describe(hub: Hub) -> dict[str, Any]:
    """What makes a hub that hub."""
    return {
        **describe_files(hub),
        "invites": json.loads(hub.run("invite", "list", "--json").stdout),
        "access": [each["id"] for each in json.loads(hub.run("access", "list", "--json").stdout)["keys"]],
    }


def describe_files(hub: Hub) -> dict[str, str]:
    state = hub.state
    return {
        "keys": (state / "managed-keys.yaml").read_text(),
        "root": (state / "ca/root.key").read_text() + (state / "ca/root.crt").read_text(),
        "spec": hub.spec.read_text(),
    }


def test_hub_is_the_same_on_another_machine_after_a_backup_under_load(running: Hub) -> None:
    key = create_key(running)
    assert running.run("invite", "lobby").returncode == 0
    with load(running, key) as seen:
        wait_until(lambda: len(seen) > 20, "the first tokens")
        before = len(seen)
        made = backup(running)
        assert len(seen) > before, "tokens are given while the backup is made"
    assert set(seen) == {200}
    assert made.stat().st_mode & 0o777 == 0o600
    expected = describe(running)
    certificates = sorted(
        str(path.relative_to(running.state)) for path in running.state.glob("caddy/certificates/**/*")
    )
    running.run("down", "--now")
    try:
        with another_machine(running.ports) as other:
            done = other.run("restore", str(made))
            assert done.returncode == 0, done.stderr
            there = sorted(str(path.relative_to(other.state)) for path in other.state.glob("caddy/certificates/**/*"))
            assert there == certificates != []
            other.up("--no-verify")
            assert ask(other, key).status_code == 200
            assert describe(other) == expected
            assert other.status()["hub"]["name"] == "hub"
    finally:
        running.up("--no-verify")


@pytest.mark.soak
def test_backup_for_a_key_of_ssh_is_opened_with_it_alone(running: Hub) -> None:
    folder = running.folder
    for name in ("own", "other"):
        make_key(folder, name)
    done = running.run("backup", "key.age", "--recipient", "own.pub")
    assert done.returncode == 0, done.stderr
    refused = running.run("backup", "key.age", "--recipient", "own")
    assert (refused.returncode, "has a private key" in refused.stderr) == (2, True)
    with another_machine() as machine:
        file = str(folder / "key.age")
        for arguments, told in (
            (["--identity", str(folder / "other")], "the key is not the one of this backup"),
            ([], "--identity FILE names the file with the private key"),
            (["--identity", str(folder / "own.pub")], "no private key"),
        ):
            done = machine.run("restore", file, *arguments)
            assert (done.returncode, told in done.stderr) == (2, True), done.stderr
            assert not machine.state.exists()
        done = machine.run("restore", file, "--identity", str(folder / "own"), "--json")
        assert json.loads(done.stdout)["spec"] == str(machine.spec)
        assert machine.spec.read_text() == running.spec.read_text()


@pytest.mark.soak
def test_what_can_not_be_restored_changes_nothing(running: Hub) -> None:
    made = backup(running)
    raw = made.read_bytes()
    with another_machine() as machine:
        for name, content, told in (
            ("cut.age", raw[: len(raw) // 2], "damaged, or was cut off"),
            ("altered.age", raw[:-5000] + b"x" + raw[-4999:], "damaged, or was cut off"),
            ("header.age", raw[:60], "damaged, or was cut off"),
            ("empty.age", b"", "is no backup"),
            ("other.age", b"version: 1\n", "is no backup"),
        ):
            (machine.folder / name).write_bytes(content)
            done = machine.run("restore", name)
            assert (done.returncode, told in done.stderr) == (2, True), done.stderr
        done = machine.run("restore", "nowhere.age")
        assert (done.returncode, "can't read nowhere.age" in done.stderr) == (2, True)
        machine.environ["LKHUB_PASSPHRASE"] = "another"
        done = machine.run("restore", str(made))
        assert (done.returncode, "is not the one of this backup" in done.stderr) == (2, True)
        machine.environ.pop("LKHUB_PASSPHRASE")
        done = machine.run("restore", str(made))
        assert (done.returncode, "--passphrase-file" in done.stderr) == (2, True)
        assert not machine.state.exists()
        assert not machine.spec.exists()


@pytest.mark.soak
def test_hub_that_is_there_is_kept(running: Hub) -> None:
    made = backup(running)
    before = describe(running)
    done = running.run("restore", str(made), "--force")
    assert (done.returncode, "a hub runs in" in done.stderr) == (2, True)
    with another_machine(free_ports()) as other:
        other.write_spec()
        other.up("--no-verify")
        other.run("down", "--now")
        keys, spec = (other.state / "managed-keys.yaml").read_text(), other.spec.read_text()
        done = other.run("restore", str(made))
        assert (done.returncode, "has a hub already" in done.stderr) == (2, True)
        shutil.move(other.state, other.folder / "elsewhere")
        done = other.run("restore", str(made))
        assert (done.returncode, "differs from the one in the backup" in done.stderr) == (2, True)
        assert not other.state.exists()
        shutil.move(other.folder / "elsewhere", other.state)
        done = other.run("restore", str(made), "--force", "--json")
        assert done.returncode == 0, done.stderr
        aside = Path(json.loads(done.stdout)["aside"])
        assert (aside / "managed-keys.yaml").read_text() == keys
        assert (other.folder / "hub.yaml.before").read_text() == spec
        assert (other.state / "managed-keys.yaml").read_text() == before["keys"]
        assert other.spec.read_text() == before["spec"]


def make_key(folder: Path, name: str = "own") -> str:
    """A key of SSH; the path of its public half."""
    if not (folder / name).exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    return str(folder / f"{name}.pub")


def test_engine_says_what_is_wrong_with_its_descriptors() -> None:
    done = subprocess.run([bundled_engine(), "encrypt"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "usage")
