"""What a backup says that it does not have, and where it is not written."""

import contextlib
import errno
import itertools
import os
import re
import sqlite3
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from lkhub.errors import OTHER_USER, InputError, MachineError
from lkhub.host.sealed import SealKeys
from lkhub.hub import backup
from lkhub.hub.backup import make_backup, require_backupable
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import user_service
from lkhub.secret import Secret

SPEC = """
agents:
  - {name: echo, project: agents/echo}
sites:
  - {name: built, root: frontend/dist, port: 3001, build: npm run build}
  - {name: plain, root: public, port: 3002}
"""

# Of the documentation of age.
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def left_out(folder: Path, spec: str, file: Path | None = None) -> tuple[str, ...]:
    (folder / "hub.yaml").write_text(spec)
    paths = StatePaths(str(folder / "state"))
    Path(paths.root).mkdir(mode=0o700, exist_ok=True)
    Path(paths.managed_keys).touch()
    place = str(file or folder / "hub.age")
    return make_backup(paths, folder / "hub.yaml", place, SealKeys(Secret("x"))).left_out


def test_folders_without_which_the_hub_does_not_come_up_are_named(tmp_path: Path) -> None:
    assert left_out(tmp_path, SPEC) == (
        "the folder frontend, which the site built is built from",
        "the folder public, the files of the site plain",
        "the folder agents/echo, the code of the agent echo",
    )


@pytest.mark.parametrize("spec", ["tls: [", "keys: {sources: {file: keys.yaml}}\n"])
def test_spec_with_a_fault_may_name_more_than_is_known(tmp_path: Path, spec: str) -> None:
    """It was being edited when the timer came."""
    assert any("it has faults, such as" in each for each in left_out(tmp_path, spec))


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes a user who may not read the hub")
def test_hub_of_another_user_is_not_said_to_be_none(tmp_path: Path) -> None:
    paths = StatePaths(str(tmp_path / "state"))
    Path(paths.root).mkdir(mode=0o700)
    Path(paths.managed_keys).touch()
    os.seteuid(65534)
    try:
        with pytest.raises(MachineError, match="belongs to root, and this is nobody") as refused:
            require_backupable(paths, "/tmp/hub.age")
    finally:
        os.seteuid(0)
    assert refused.value.hints[0] == OTHER_USER
    require_backupable(paths, str(tmp_path / "hub.age"))


def link_in_a_folder_for_all(folder: Path, mode: int = 0o1777) -> Path:
    """`all/hub.age`, a link to a file of `folder` that is not there."""
    (folder / "all").mkdir()
    (folder / "all").chmod(mode)
    link = folder / "all/hub.age"
    link.symlink_to("../elsewhere.age")
    return link


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
@pytest.mark.parametrize("what", ["the file", "a folder"])
def test_link_of_another_user_does_not_choose_where_it_is_written(tmp_path: Path, what: str) -> None:
    link = link_in_a_folder_for_all(tmp_path)
    if what == "a folder":
        (tmp_path / "elsewhere.age").mkdir()
    os.lchown(link, 65534, 65534)
    place = link / "hub.age" if what == "a folder" else link
    says = rf"{re.escape(str(link))} is a link that nobody has made to \.\./elsewhere\.age"
    with pytest.raises(InputError, match=says):
        make_backup(StatePaths(str(tmp_path / "state")), None, str(place), SealKeys(Secret("x")))


@pytest.mark.parametrize("mode", [0o1777, 0o755])
def test_own_link_is_followed(tmp_path: Path, mode: int) -> None:
    left_out(tmp_path, "", link_in_a_folder_for_all(tmp_path, mode))
    assert (tmp_path / "elsewhere.age").stat().st_size
    assert (tmp_path / "all/hub.age").is_symlink()


@pytest.mark.parametrize("how", ["written", "removed"])
def test_files_are_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """As where a key and its certificate are renewed while they are read."""
    paths = StatePaths(str(tmp_path))
    places = [Path(paths.ca, name) for name in ("root.crt", "root.key")]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        place.write_text("old")
    read = backup._read
    changed: list[str] = []

    def change(path: str) -> bytes:
        content = b"" if how == "removed" and not changed else read(path)
        if not changed:
            changed.append(path)
            for place in places:
                place.write_text("renewed")
            if how == "removed":
                places[0].unlink()
                read(path)
        return content

    monkeypatch.setattr(backup, "_read", change)
    monkeypatch.setattr(backup, "_SETTLE_SECONDS", 0.0)
    stays = places if how == "written" else places[1:]
    assert backup._read_settled(paths) == {f"state/ca/{place.name}": b"renewed" for place in stays}


def test_files_that_change_all_the_time_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "identity"
    place.write_text("x")
    monkeypatch.setattr(backup, "_read", lambda path: str(place.write_text(place.read_text() + "x")).encode())
    monkeypatch.setattr(backup, "_SETTLE_SECONDS", 0.0)
    with pytest.raises(MachineError, match="change all the time"):
        backup._read_settled(StatePaths(str(tmp_path)))


@pytest.mark.parametrize("how", ["a folder", "a link", "too long"])
def test_name_in_a_hub_is_one_line_of_an_error_and_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Root makes a backup of a hub whose user gives files any name."""
    place = tmp_path / "a\nhint: `touch pwned`"
    if how == "a folder":
        place.mkdir()
    elif how == "a link":
        place.symlink_to("/etc/passwd")
    else:
        place.write_text("xx")
        monkeypatch.setattr(backup, "MAX_TEXT_BYTES", 1)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(MachineError) as refused:
        backup._read(str(place))
    assert rf"{tmp_path}/a\nhint: `touch pwned`" in refused.value.message
    assert refused.value.message.isprintable()
    assert os.listdir("/proc/self/fd") == before


def test_file_that_the_disk_does_not_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("x")

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "open", fail)
        with pytest.raises(MachineError) as refused:
            backup._read(str(tmp_path / "keys"))
    assert refused.value.message == f"can't read {tmp_path}/keys: input/output error"


@pytest.mark.parametrize("name", ["open", "stat", "scandir", "fsync", "replace", "unlink"])
def test_what_the_machine_refuses_leaves_no_backup_that_only_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A backup without the folder of its certificates would be noticed when it is needed."""
    paths, file = StatePaths(str(tmp_path / "state")), tmp_path / "hub.age"
    for place in ("managed-keys.yaml", "ca/root.key", "caddy/certificates/a/a.crt"):
        (tmp_path / "state" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "state" / place).write_text(place)
    Path(paths.root).chmod(0o700)
    with contextlib.closing(sqlite3.connect(paths.store)) as store:
        store.execute("CREATE TABLE kept (x)")
    keys = SealKeys(recipients=(RECIPIENT,))  # a passphrase costs half a second each time
    real = getattr(os, name)
    left = 0

    def refuse(path: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal left
        if isinstance(path, int) or os.fspath(path).startswith(str(tmp_path)):
            left -= 1
            if left == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(path, *arguments, **named)

    def back_up() -> set[str]:
        return {each.path for each in make_backup(paths, None, str(file), keys).files}

    monkeypatch.chdir(tmp_path)
    whole = back_up()
    monkeypatch.setattr(os, name, refuse)
    for number in itertools.count(1):
        left = number
        with contextlib.suppress(MachineError, InputError):
            assert back_up() == whole, f"call {number} of {name}"
        if left > 0:  # it made fewer calls
            break
    left = 0
    back_up()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_locks_of_this_machine_are_left_out(tmp_path: Path) -> None:
    paths = StatePaths(str(tmp_path))
    for name in ("locks/issue.lock", "certificates/a/a.crt", "certificates/locks/a.crt"):
        place = Path(paths.caddy, name)
        place.parent.mkdir(parents=True)
        place.write_text("x")
    found = {os.path.relpath(path, paths.caddy) for path in backup._list_files(paths)}
    assert found == {"certificates/a/a.crt", "certificates/locks/a.crt"}


def test_backup_with_the_spec_of_the_service_alone_is_one_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is restored to where the service has its spec, and with the variables of the service."""
    service = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    Path(service.folder).mkdir(parents=True)
    Path(service.environment).write_text("TURN_SECRET=x\n")
    monkeypatch.setattr(backup, "find_service", lambda _: service)
    spec = 'turn: {external: [{url: "turn:turn.example.org", secret: {env: TURN_SECRET}}]}\n'
    paths = StatePaths(service.installation.state)
    Path(paths.root).mkdir()
    Path(paths.managed_keys).touch()
    for place, of_service in ((Path(service.spec), True), (tmp_path / "hub.yaml", False)):
        place.write_text(spec)
        made = make_backup(paths, place, str(tmp_path / "hub.age"), SealKeys(Secret("x")))
        has_variables = any(each.path == "spec/lkhub.env" for each in made.files)
        left_out = "the variables that the spec names: TURN_SECRET" in made.left_out
        assert (made.service, has_variables, left_out) == (of_service, of_service, not of_service)


def test_backup_that_could_not_be_restored_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lkhub.state.backup.MAX_FILES", 1)
    (tmp_path / "turn").write_text("x")
    spec = 'turn: {external: [{url: "turn:turn.example.org", secret: {file: turn}}]}\n'
    with pytest.raises(InputError, match=r"3 files .* 1 and .* are allowed"):
        left_out(tmp_path, spec)
    assert not (tmp_path / "hub.age").exists()


def make_store(paths: StatePaths) -> None:
    Path(paths.root).mkdir(exist_ok=True)
    Path(paths.managed_keys).touch()
    with contextlib.closing(sqlite3.connect(paths.store)) as store:
        store.execute("CREATE TABLE text (text)")
        store.execute("INSERT INTO text VALUES (hex(randomblob(100000)))")
        store.commit()


@pytest.mark.parametrize("fails", ["make_half_written", "encrypting"])
def test_place_that_can_not_be_written_is_chosen_as_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(backup, fails, refuse)
    with pytest.raises(MachineError) as refused:
        left_out(tmp_path, SPEC)
    assert refused.value.hints[0] == "choose another place for FILE"


@pytest.mark.parametrize("full", ["state", "disk"])
def test_disk_that_is_too_small_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    paths = StatePaths(str(tmp_path / "state"))
    make_store(paths)
    (tmp_path / "disk").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=8 if path.endswith(full) else 1 << 30))
    with pytest.raises(MachineError, match=rf"needs [\d,]{{7,}} bytes in {tmp_path / full}, and 8 are free") as failed:
        make_backup(paths, None, str(tmp_path / "disk/hub.age"), SealKeys(Secret("x")))
    assert failed.value.hints[0].startswith("free some space")
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".age", ".part")]


@pytest.mark.namespaces
@pytest.mark.parametrize("full", ["state", "disk"])
def test_disk_that_is_full_all_the_same_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    """As where another program fills it, or a quota is reached, which is not seen before."""
    paths = StatePaths(str(tmp_path / "state"))
    for name in ("state", "disk"):
        (tmp_path / name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", tmp_path / full], check=True)
    try:
        make_store(paths)
        if full == "disk":
            (tmp_path / "disk/other").write_bytes(b"x" * 200_000)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 30))
        with pytest.raises(MachineError, match="disk is full") as failed:
            make_backup(paths, None, str(tmp_path / "disk/hub.age"), SealKeys(recipients=(RECIPIENT,)))
        assert failed.value.hints[0].startswith("free some space"), failed.value
        assert not [path for path in tmp_path.rglob("*") if path.suffix in (".age", ".part")]
    finally:
        subprocess.run(["umount", tmp_path / full], check=True)
