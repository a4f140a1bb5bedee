"""A restore that is killed: the old hub is there, or the new one, and never a part of each."""

import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.hub.restore import _finish, _move_state, _placed_beside, finish_restore
from lkhub.plan.paths import BACKED_UP, OF_THE_MACHINE, STATE_NAMES, StatePaths
from lkhub.state.restore import RestoreRecord, read_restore, write_restore

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
