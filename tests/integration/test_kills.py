"""Commands that are killed at random moments of their whole run: always one hub that works, and nothing left over.

`KILLS=100 KILLS_SEED=7 pytest tests/integration/test_kills.py` kills more often, and again at the same moments.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.keyfile import load_keys
from lkhub.plan.paths import StatePaths
from lkhub.supervise.left import find_running
from tests.integration.test_backup import another_machine, create_key, make_key
from tests.kit.hub import Hub, kill_supervisor, make_hub
from tests.kit.kills import Killer

pytestmark = [pytest.mark.long, pytest.mark.soak]

KILLS = int(os.environ.get("KILLS", "10"))

SPEC = "access: {modes: [api-keys]}\n"

# What a hub writes while it runs, or anew at each start.
_VOLATILE = {"run", "logs", "rendered", "backups", "caddy", "before-restore"}


@pytest.fixture
def killer(tmp_path: Path) -> Killer:
    seed = int(os.environ.get("KILLS_SEED") or int.from_bytes(os.urandom(4)))
    print(f"KILLS_SEED={seed}")
    return Killer(seed, tmp_path)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of all commands."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def make_identity(hub: Hub, name: str) -> None:
    """A hub of this name that was up once, with a key for applications in its store."""
    hub.write_spec(f"name: {name}\n{SPEC}{hub.tls_lines}")
    hub.up("--no-verify")
    create_key(hub)


def describe(hub: Hub) -> dict[str, Any]:
    """What makes a hub that hub, whether it runs or not."""
    return {
        "keys": (hub.state / "managed-keys.yaml").read_text(),
        "root": (hub.state / "ca/root.key").read_text() + (hub.state / "ca/root.crt").read_text(),
        "relay": (hub.state / "relay.secret").read_text(),
        "spec": hub.spec.read_text(),
        "access": _read_access(hub.state / "store.db"),
    }


def _read_access(store: Path) -> list[Any]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as opened:
        return opened.execute("SELECT id FROM api_keys").fetchall()


def list_files(folder: Path) -> set[str]:
    """The files of a hub's folder that stay the same while it runs on."""
    found = [(*path.relative_to(folder).parts, "") for path in folder.rglob("*")]
    return {"/".join(parts) for parts in found if parts[0] != "state" or parts[1] not in {"", *_VOLATILE}}


def list_left(hub: Hub) -> list[str]:
    """What a restore has left."""
    beside = [path.name for path in hub.folder.iterdir() if path.name.endswith((".restored", ".part"))]
    inside = [str(path) for path in hub.state.rglob("*") if path.name.endswith(".part")]
    return beside + inside + [name for name in ("restoring", "restore.json") if (hub.state / name).exists()]


def find_secret(secrets: list[bytes], *files: Path) -> list[Path]:
    """Those of the files that have one of the secrets in clear."""
    return [file for file in files if file.is_file() and any(each in file.read_bytes() for each in secrets)]


def test_backup_leaves_the_earlier_one_or_a_whole_one(hub: Hub, killer: Killer, temporary: Path) -> None:
    make_identity(hub, "home")
    expected = describe(hub)
    file, identity = hub.folder / "home.age", hub.folder / "own"
    argv = hub.command("backup", file.name, "--recipient", make_key(hub.folder))
    secrets = [secret.reveal().encode() for secret in load_keys(str(hub.state / "keys.yaml")).values()]
    secrets += [(hub.state / "ca/root.key").read_bytes(), b"SQLite format 3"]
    whole = killer.measure(argv, **hub.settings())
    files, kept = list_files(hub.folder), file.read_bytes()
    with another_machine() as machine:
        for _ in range(KILLS):
            killed = killer.kill(whole, argv, **hub.settings())
            print(killed.moment)
            outside = [path for path in hub.folder.rglob("*") if hub.state not in path.parents]
            assert not find_secret(secrets, *outside, *temporary.rglob("*")), killed.moment
            if file.read_bytes() != kept:
                done = machine.run("restore", str(file), "--force", "--identity", str(identity))
                assert done.returncode == 0, f"{killed.moment}\n{done.stderr}"
                assert describe(machine) == expected, killed.moment
            done = hub.run(*argv[len(hub.command()) :])
            assert done.returncode == 0, f"{killed.moment}\n{done.stderr}"
            assert (list_files(hub.folder), list(temporary.iterdir())) == (files, []), killed.moment
            kept = file.read_bytes()
    assert hub.status()["hub"]["state"] == "running"


@pytest.fixture
def two(temporary: Path) -> Iterator[tuple[Hub, dict[str, dict[str, Any]], dict[str, list[str]]]]:
    """A machine with a hub that is down; what two hubs are, by their names, the first of which is that one; and how
    each is restored."""
    with make_hub() as machine, make_hub() as other:
        described, restore = {}, {}
        for hub, name in ((machine, "first"), (other, "second")):
            make_identity(hub, name)
            described[name] = describe(hub)
            made = machine.folder / f"{name}.age"
            assert hub.run("backup", str(made), "--recipient", make_key(machine.folder)).returncode == 0
            assert hub.run("down", "--now").returncode == 0
            restore[name] = ["restore", made.name, "--identity", "own"]
        yield machine, described, restore


def find_name(described: dict[str, dict[str, Any]], found: dict[str, Any], moment: str) -> str:
    """The name of the hub that this is, as a whole."""
    names = [name for name, each in described.items() if each == found]
    assert names, f"{moment}\n{found}\nis none of\n{described}"
    return names[0]


def test_restore_leaves_one_hub_or_the_other(
    two: tuple[Hub, dict[str, dict[str, Any]], dict[str, list[str]]], killer: Killer
) -> None:
    machine, described, restore = two
    whole = killer.measure(machine.command(*restore["second"], "--force"), **machine.settings())
    here = "second"
    for number in range(KILLS):
        name = "first" if here == "second" else "second"
        killed = killer.kill(whole, machine.command(*restore[name], "--force"), **machine.settings())
        print(killed.moment)
        if number % 2:
            done = machine.run(*restore[name], "--force")
            assert done.returncode == 0, f"{killed.moment}\n{done.stderr}"
            here = find_name(described, describe(machine), killed.moment)
            assert (here, list_left(machine)) == (name, []), killed.moment
        else:
            machine.up("--no-verify")
            here = find_name(described, describe(machine), killed.moment)
            assert machine.status()["hub"]["name"] == here, killed.moment
            assert machine.run("down", "--now").returncode == 0
            # The next restore replaces it.
            assert set(list_left(machine)) <= {"hub.yaml.restored"}, killed.moment


def test_restore_on_a_new_machine_is_gone_on_with(
    two: tuple[Hub, dict[str, dict[str, Any]], dict[str, list[str]]], killer: Killer, temporary: Path
) -> None:
    machine, described, restore = two

    def empty() -> None:
        shutil.rmtree(machine.state)
        machine.spec.unlink(missing_ok=True)

    argv = machine.command(*restore["second"])
    empty()
    whole = killer.measure(machine.command(*restore["second"], "--force"), **machine.settings())
    for _ in range(KILLS):
        empty()
        killed = killer.kill(whole, argv, **machine.settings())
        print(killed.moment)
        done = machine.run(*restore["second"])
        # Where the hub counted already, this has put it in place, and says that it is there.
        assert done.returncode == 0 or "has a hub already" in done.stderr, f"{killed.moment}\n{done.stderr}"
        assert describe(machine) == described["second"], killed.moment
        assert (list_left(machine), list(temporary.iterdir())) == ([], []), killed.moment
    machine.up("--no-verify")
    assert machine.status()["hub"]["name"] == "second"
    assert describe(machine) == described["second"]


def test_rotation_of_a_hub_that_is_down_leaves_keys_that_it_starts_with(hub: Hub, killer: Killer) -> None:
    hub.up("--no-verify")
    assert hub.run("env", "--write", "app.env").returncode == 0
    hub.run("down", "--now")
    argv = hub.command("keys", "rotate")
    whole = killer.measure(argv, **hub.settings())
    for _ in range(KILLS):
        before = load_keys(str(hub.state / "managed-keys.yaml"))
        killed = killer.kill(whole, argv, **hub.settings())
        print(killed.moment)
        hub.up("--no-verify")
        keys = load_keys(str(hub.state / "keys.yaml"))
        assert keys == load_keys(str(hub.state / "managed-keys.yaml")), killed.moment
        assert before.items() <= keys.items(), killed.moment
        assert len(keys) - len(before) <= 1, killed.moment
        assert hub.env()["LIVEKIT_API_KEY"] == next(iter(keys)), killed.moment
        assert list_left(hub) == [], killed.moment
        hub.run("down", "--now")


def test_supervisor_that_is_killed_during_a_change_leaves_the_rest_to_the_next(hub: Hub, killer: Killer) -> None:
    """It is killed while it starts, over what another one that was killed has left, and with another spec."""
    paths, argv = StatePaths(str(hub.state)), hub.command("up", "--no-verify")

    def change(number: int) -> None:
        hub.write_spec(
            f"livekit: {{room: {{max_participants: {number + 2}}}}}\n" + (hub.tls_lines if number % 2 else "")
        )

    def is_up() -> bool:
        return hub.run("status").returncode == 0

    change(0)
    whole = killer.measure_until(is_up, argv, **hub.settings())
    hub.up("--no-verify")
    keys = load_keys(paths.keys)
    for number in range(1, KILLS + 1):
        change(number)
        kill_supervisor(hub)
        killed = killer.kill(whole, argv, **hub.settings())
        print(killed.moment)
        hub.up("--no-verify", "--now")
        running = [left.name for left in find_running(paths)]
        expected = ["edge", "media", "relay", "serve"] if number % 2 else ["media", "relay", "serve"]
        assert sorted(running) == expected, killed.moment
        assert load_keys(paths.keys) == keys, killed.moment
        assert f"max_participants: {number + 2}" in (hub.state / "rendered/livekit.yaml").read_text(), killed.moment
        assert list_left(hub) == [], killed.moment
    assert hub.run("down", "--now").returncode == 0
    assert find_running(paths) == []
