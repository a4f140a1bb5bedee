"""A restore that is killed: the old hub is there, or the new one, and never a part of each."""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lkhub.errors import HubError, InputError, MachineError
from lkhub.host.archive import MANIFEST, ArchiveWriter
from lkhub.host.files import digest
from lkhub.host.sealed import MAGIC, SealKeys
from lkhub.hub import restore
from lkhub.hub.backup import make_backup, require_backupable
from lkhub.hub.keys import _change_files
from lkhub.hub.locate import find_hub
from lkhub.hub.restore import Restored, _finish, _move_state, _placed_beside, finish_restore, restore_backup
from lkhub.plan.paths import BACKED_UP, OF_THE_MACHINE, STATE_NAMES, StatePaths
from lkhub.plan.service import user_service
from lkhub.prepare.hub import prepare_hub
from lkhub.secret import Secret
from lkhub.state.backup import FORMAT, BackedUpFile, Manifest, dump_manifest
from lkhub.state.restore import RestoreRecord, read_restore, write_restore
from tests.kit.refusals import refuse_to_list

OLD = ("managed-keys.yaml", "store.db", "store.db-wal", "applied.json", "keys.yaml", "identity")
NEW = ("managed-keys.yaml", "store.db", "ring.json")
STAYS = ("firewall.json", "router.json")


class KilledError(Exception):
    pass


def prepare(folder: Path) -> tuple[StatePaths, RestoreRecord]:
    """A state directory with an old hub, and a new one that is unpacked and counts from now on."""
    paths = StatePaths(str(folder / "s"))
    for name in OLD + STAYS:
        write(Path(paths.root, name), "old")
    write(Path(paths.root, "ca/root.key"), "old")
    for name in NEW:
        write(Path(paths.restoring, "state", name), "new")
    write(Path(paths.restoring, "state/ca/root.crt"), "new")
    Path(paths.root).chmod(0o700)
    for name in ("hub.yaml", "fresh.txt"):
        write(folder / f"{name}.restored", "new")
    write(folder / "hub.yaml", "old")
    spec = (str(folder / "hub.yaml"), str(folder / "fresh.txt"))
    record = RestoreRecord(tuple(sorted((*NEW, "ca"))), f"{paths.before_restore}/then", spec)
    write_restore(paths, record)
    return paths, record


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(folder: Path) -> dict[str, str]:
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    return {name: text for name, text in found.items() if not name.startswith("s/run/")}


EXPECTED = {
    **{f"s/{name}": "new" for name in NEW},
    "s/ca/root.crt": "new",
    **{f"s/{name}": "old" for name in STAYS},
    **{f"s/before-restore/then/{name}": "old" for name in (*OLD, "ca/root.key")},
    "hub.yaml": "new",
    "hub.yaml.before": "old",
    "fresh.txt": "new",
}


def die_after(calls: int, wrapped: Callable[..., None]) -> Callable[..., None]:
    done = 0

    def call(*arguments: Any, **named: Any) -> None:
        nonlocal done
        if done == calls:
            raise KilledError
        done += 1
        wrapped(*arguments, **named)

    return call


def test_new_hub_takes_the_place_of_the_old_one(short_dir: Path) -> None:
    paths, record = prepare(short_dir)
    _finish(paths, record)
    assert read(short_dir) == EXPECTED
    assert read_restore(paths) is None
    finish_restore(paths)
    assert read(short_dir) == EXPECTED


def test_what_was_made_since_takes_the_place_of_nothing_that_is_kept(short_dir: Path) -> None:
    """The old hub's keys are in no other place."""
    paths, record = prepare(short_dir)
    for name in ("managed-keys.yaml", "ca/root.key"):
        write(Path(record.aside, name), "first")
    _finish(paths, record)
    kept = read(Path(record.aside))
    assert (kept["managed-keys.yaml"], kept["ca/root.key"]) == ("first", "first")
    assert (kept["managed-keys.yaml-2"], kept["ca-2/root.key"]) == ("old", "old")
    assert Path(paths.managed_keys).read_text() == "new"


def test_folder_of_an_agent_stays_where_its_unit_has_it_mounted(short_dir: Path) -> None:
    paths, record = prepare(short_dir)
    folder = Path(paths.for_agent("bmo"))
    folder.mkdir(parents=True)
    mounted = folder.stat().st_ino
    _finish(paths, record)
    assert folder.stat().st_ino == mounted


def test_killed_at_any_rename_it_is_gone_on_with(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in a row: the second process may be killed, too."""
    killed, calls = True, 0
    while killed:
        folder = short_dir / str(calls)
        paths, _ = prepare(folder)
        killed = False
        for _ in range(2):
            with monkeypatch.context() as patch:
                for name in ("rename", "replace"):
                    patch.setattr(os, name, die_after(calls // 2, getattr(os, name)))
                try:
                    finish_restore(paths)
                except KilledError:
                    killed = True
        finish_restore(paths)
        assert read(folder) == EXPECTED, calls
        assert read_restore(paths) is None
        calls += 1
    assert calls > 20


def test_damaged_record_is_said_and_nothing_is_moved(short_dir: Path) -> None:
    paths, _ = prepare(short_dir)
    Path(paths.restore_record).write_text("{")
    before = read(short_dir)
    with pytest.raises(MachineError, match="does not say where"):
        finish_restore(paths)
    assert read(short_dir) == before


def test_restore_that_fails_leaves_nothing_beside_the_spec(short_dir: Path) -> None:
    paths = StatePaths(str(short_dir / "s"))
    blocked = short_dir / "blocked"
    blocked.write_text("no folder")
    contents = {str(short_dir / "hub.yaml"): b"new", str(blocked / "cert.pem"): b"new"}
    with pytest.raises(MachineError, match="blocked"), _placed_beside(paths, contents, force=False):
        pass
    with suppress(KilledError), _placed_beside(paths, {str(short_dir / "hub.yaml"): b"new"}, force=False):
        assert (short_dir / "hub.yaml.restored").exists()
        raise KilledError
    assert os.listdir(short_dir) == ["blocked"]


def test_link_beside_the_spec_is_never_put_in_its_place(short_dir: Path) -> None:
    """The hub's own user can write the record, and might have it lead to a file of root."""
    paths, record = prepare(short_dir)
    (short_dir / "hub.yaml.restored").unlink()
    (short_dir / "hub.yaml.restored").symlink_to("/etc/passwd")
    with nullcontext() if os.geteuid() == 0 else pytest.raises(MachineError, match="interrupted"):
        _finish(paths, record)
    assert (short_dir / "hub.yaml").read_text() == "old"


def test_what_is_backed_up_is_of_the_hub_and_not_of_the_machine() -> None:
    assert BACKED_UP | OF_THE_MACHINE <= STATE_NAMES
    assert not BACKED_UP & OF_THE_MACHINE


def test_nothing_in_place_and_nothing_aside_needs_no_folder(short_dir: Path) -> None:
    paths = StatePaths(str(short_dir / "s"))
    write(Path(paths.restoring, "state/identity"), "new")
    _move_state(paths, RestoreRecord(("identity",), f"{paths.before_restore}/then"))
    assert not os.path.exists(paths.before_restore)
    assert Path(paths.identity).read_text() == "new"


@dataclass
class Backup:
    """A backup with the small files of a hub, and what its restore needs to find it."""

    paths: StatePaths
    file: Path
    content: bytes

    def restore(self, *, force: bool = False) -> Restored:
        given = self.file.parent / "hub.yaml"
        return restore_backup(self.paths, given, str(self.file), SealKeys(Secret("x")), force=force)


def archive(files: Mapping[str, bytes], more: Mapping[str, bytes]) -> bytes:
    """An archive with these files, and `more` that its manifest does not name."""
    listed = tuple(BackedUpFile(path, len(content), digest(content)) for path, content in files.items())
    manifest = dump_manifest(Manifest(FORMAT, "0.1.0", 0.0, "home", listed, "hub.yaml")).encode()
    to = BytesIO()
    writer = ArchiveWriter(to, 0.0)
    for path, content in {MANIFEST: manifest, **files, **more}.items():
        writer.add(path, len(content), BytesIO(content))
    writer.finish()
    return to.getvalue()


FILES = {"state/managed-keys.yaml": b"new", "state/ca/root.crt": b"new", "spec/hub.yaml": b"new"}


@pytest.fixture
def backup(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Backup:
    made = Backup(StatePaths(str(short_dir / "s")), short_dir / "hub.age", archive(FILES, {}))
    made.file.write_bytes(MAGIC[0])
    monkeypatch.setattr(restore, "decrypting", lambda *_: nullcontext(BytesIO(made.content)))
    return made


def test_what_is_restored_is_what_was_backed_up(backup: Backup) -> None:
    backup.restore()
    folder = backup.file.parent
    assert {name: text for name, text in read(folder).items() if name.endswith((".yaml", ".crt"))} == {
        "s/managed-keys.yaml": "new",
        "s/ca/root.crt": "new",
        "hub.yaml": "new",
    }


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("what", ["too little space", "cut off", "a file more", "no space for the record"])
def test_restore_that_can_not_be_made_leaves_all_as_it_was(
    backup: Backup, monkeypatch: pytest.MonkeyPatch, what: str, exists: bool
) -> None:
    if exists:
        write(Path(backup.paths.managed_keys), "old")
        write(Path(backup.paths.store), "old")
    says = "the backup is damaged"
    if what == "too little space":
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=8))
        says = "the backup needs 9 bytes in .*, and 8 are free"
    elif what == "cut off":
        backup.content = backup.content[:-512]
    elif what == "a file more":
        backup.content = archive(FILES, {"state/identity": b"new"})
    else:
        says = "the disk is full"
        monkeypatch.setattr(restore, "write_restore", raising(MachineError(says)))
    before = read(backup.file.parent)
    with pytest.raises(HubError, match=says):
        backup.restore(force=exists)
    assert read(backup.file.parent) == before
    assert os.path.exists(backup.paths.root) == exists
    assert not os.path.exists(backup.paths.restoring)


def test_restore_that_ends_once_the_new_hub_counts_is_gone_on_with(
    backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, or a disk that fails: what was unpacked is all that there is of the new hub."""
    write(Path(backup.paths.managed_keys), "old")
    with monkeypatch.context() as patch:
        patch.setattr(restore, "_finish", raising(KilledError()))
        with pytest.raises(KilledError):
            backup.restore(force=True)
    finish_restore(backup.paths)
    assert Path(backup.paths.managed_keys).read_text() == "new"
    assert (backup.file.parent / "hub.yaml").read_text() == "new"


def test_commands_about_a_hub_refuse_what_a_killed_restore_has_left(short_dir: Path) -> None:
    """A backup would be without what is not in place yet, and replace a whole one."""
    paths, _ = prepare(short_dir)
    target = str(short_dir / "hub.age")
    asks = (
        lambda: require_backupable(paths, target),
        lambda: make_backup(paths, None, target, SealKeys(Secret("x"))),
        lambda: _change_files(paths, None),
        lambda: find_hub(None, Path(paths.root)),
        lambda: prepare_hub(None, paths.root, {}),
    )
    record = Path(paths.restore_record).read_text()
    for text, told, hint in (
        ("{", "does not say where", "`lkhub restore FILE --force` begins anew"),
        (record, "a restore has begun in", "`lkhub up` goes on with it"),
    ):
        Path(paths.restore_record).write_text(text)
        for ask in asks:
            with pytest.raises(MachineError, match=told) as refused:
                ask()
            assert hint in refused.value.hints[0]
    finish_restore(paths)
    assert read(short_dir) == EXPECTED
    require_backupable(paths, target)
    find_hub(None, Path(paths.root))


@pytest.mark.parametrize("fails", ["passphrase", "archive", "rename"])
def test_restore_that_fails_leaves_a_damaged_record_and_all_that_is_there(
    backup: Backup, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """What the killed one had unpacked is in no other place."""
    folder = backup.file.parent
    prepare(folder)
    for name in ("hub.yaml.restored", "fresh.txt.restored", "hub.yaml"):
        (folder / name).unlink()
    Path(backup.paths.restore_record).write_text("{")
    before = read(folder)
    with monkeypatch.context() as patch:
        if fails == "passphrase":
            patch.setattr(restore, "decrypting", raising(InputError("it is another passphrase")))
        elif fails == "archive":
            patch.setattr(restore, "decrypting", lambda *_: nullcontext(BytesIO(backup.content[:-600])))
        else:
            patch.setattr(restore, "write_restore", raising(MachineError("no space")))
        with pytest.raises(HubError):
            backup.restore(force=True)
    assert read(folder) == before
    with pytest.raises(MachineError, match="does not say where"):
        finish_restore(backup.paths)
    backup.restore(force=True)
    assert Path(backup.paths.managed_keys).read_text() == "new"
    kept = {name.rpartition("/")[2] for name in read(Path(backup.paths.before_restore))}
    assert {*OLD, "root.key", "ring.json"} <= kept, "nothing is lost"


def test_restore_that_is_asked_for_begins_anew_where_the_record_of_one_is_damaged(backup: Backup) -> None:
    Path(backup.paths.root).mkdir(mode=0o700)
    Path(backup.paths.restore_record).write_text("{")
    with pytest.raises(MachineError, match="does not say where"):
        backup.restore()
    backup.restore(force=True)
    assert Path(backup.paths.managed_keys).read_text() == "new"


def test_restore_that_can_not_list_what_it_has_unpacked_leaves_all_as_it_was(
    backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not known whether that is on the disk."""
    refuse_to_list(monkeypatch, "/ca")
    with pytest.raises(MachineError, match="input/output error"):
        backup.restore()
    assert not os.path.exists(backup.paths.root)


def test_restore_removes_what_one_before_it_was_writing_when_it_was_killed(backup: Backup) -> None:
    """Its record, and a key: they have names that nothing looks at."""
    for name in (".restore.json.abcd1234.part", ".managed-keys.yaml.abcd1234.part"):
        write(Path(backup.paths.root, name), "half")
    Path(backup.paths.root).chmod(0o700)
    backup.restore()
    assert not [name for name in os.listdir(backup.paths.root) if name.endswith(".part")]


def test_nothing_is_restored_below_a_hub_that_runs(backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(backup.paths.root).mkdir(mode=0o700)
    monkeypatch.setattr(restore, "is_running", lambda _: True)
    with pytest.raises(InputError, match="a hub runs in"):
        backup.restore(force=True)
    assert not os.path.exists(backup.paths.managed_keys)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
def test_link_of_another_user_does_not_choose_where_the_spec_goes(backup: Backup, short_dir: Path) -> None:
    (short_dir / "all").mkdir()
    (short_dir / "all").chmod(0o1777)
    (short_dir / "root").mkdir()
    link = short_dir / "all/hub"
    link.symlink_to(short_dir / "root")
    os.lchown(link, 65534, 65534)
    with pytest.raises(InputError, match="all/hub is a link that nobody has made"):
        restore_backup(backup.paths, link / "hub.yaml", str(backup.file), SealKeys(Secret("x")), force=True)
    assert os.listdir(short_dir / "root") == []
    assert not os.path.exists(backup.paths.root)


@pytest.mark.parametrize("fails", ["_write", "sync_folder"])
def test_place_that_can_not_be_written_is_chosen_as_the_spec(
    backup: Backup, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Before the new hub counts, and after that."""
    real = getattr(restore, fails)

    def refuse(path: str, *rest: Any) -> None:
        if not path.startswith(backup.paths.root):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        real(path, *rest)

    monkeypatch.setattr(restore, fails, refuse)
    with pytest.raises(MachineError) as refused:
        backup.restore()
    assert refused.value.hints[0] == "choose another place with --spec FILE"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another group")
def test_restored_spec_of_the_service_can_be_read_by_its_user_alone(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = user_service(str(short_dir), str(short_dir / "s"), "hub")
    monkeypatch.setattr(restore, "SYSTEM", service)
    monkeypatch.setattr(restore, "has_user", lambda _: True)
    monkeypatch.setattr(restore, "find_group", lambda _: 65534)
    contents = {service.spec: b"new", f"{service.folder}/turn.secret": b"new"}
    with _placed_beside(StatePaths(service.installation.state), contents, force=False):
        found = {name: os.stat(f"{service.folder}/{name}.restored") for name in ("hub.yaml", "turn.secret")}
    rights = {name: (each.st_uid, each.st_gid, each.st_mode & 0o777) for name, each in found.items()}
    assert rights == {"hub.yaml": (0, 65534, 0o640), "turn.secret": (0, 0, 0o600)}


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail
