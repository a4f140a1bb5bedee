import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from lkhub.errors import READ_ONLY, InputError, MachineError
from lkhub.host import files
from lkhub.host.files import (
    MAX_INPUT_BYTES,
    NotTextError,
    check_socket_path,
    create_private,
    ensure_private_dir,
    explain_os_errors,
    is_read_only,
    read_input,
    read_tail,
    read_text,
    remove,
    remove_others,
    write_private,
)
from tests.host.modes import mode

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


@pytest.mark.parametrize(
    ("number", "said", "hint"),
    [
        (errno.ENOSPC, "the disk is full", "free some space"),
        (errno.EDQUOT, "the disk is full", "free some space"),
        (errno.EROFS, "read-only", "--state"),
        (errno.EACCES, "permission denied", "--state"),
        (errno.EPERM, "permission denied", "--state"),
        (errno.EISDIR, "is a directory", ""),
    ],
)
def test_what_the_system_refuses_is_explained(number: int, said: str, hint: str) -> None:
    with pytest.raises(MachineError) as refused, explain_os_errors("/state/x", "write"):
        raise OSError(number, os.strerror(number))
    assert refused.value.message.startswith("can't write /state/x: ")
    assert said in refused.value.message
    assert hint in " ".join(refused.value.hints)
    assert refused.value.code == (READ_ONLY if number == errno.EROFS else "")


def test_folder_is_made_with_its_parents_and_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    ensure_private_dir(str(folder))
    assert mode(folder) == 0o700
    ensure_private_dir(str(folder))


def test_folder_that_others_can_read_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ensure_private_dir(str(tmp_path))
    assert mode(tmp_path) == 0o700


@as_root
def test_folder_of_another_user_is_refused_with_their_name(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(MachineError, match="belongs to nobody, and this is root") as refused:
        ensure_private_dir(str(tmp_path))
    assert "run lkhub as nobody" in refused.value.hints
    assert f"`chown -R root: {tmp_path}`" in refused.value.hints[-1]
    os.chown(tmp_path, 4_000_000, 0)
    with pytest.raises(MachineError, match="belongs to user 4000000"):
        ensure_private_dir(str(tmp_path))


@as_user
def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(MachineError, match="permission denied"):
        ensure_private_dir(str(tmp_path / "x"))
    tmp_path.chmod(0o700)


def test_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    for path in (tmp_path / "x", tmp_path / "x" / "y"):
        with pytest.raises(MachineError, match="can't"):
            ensure_private_dir(str(path))


def test_file_is_written_private_and_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    assert write_private(str(path), "one") is True
    assert (path.read_text(), mode(path)) == ("one", 0o600)
    first = path.stat().st_ino
    assert write_private(str(path), "two") is True
    assert (path.read_text(), mode(path)) == ("two", 0o600)
    assert path.stat().st_ino != first, "who reads while we write sees one or the other"
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.yaml"]


def test_file_that_says_so_already_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    write_private(str(path), "one")
    before = path.stat()
    assert write_private(str(path), "one") is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_file_that_others_can_read_is_closed_even_when_its_text_is_right(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("one")
    path.chmod(0o644)
    assert write_private(str(path), "one") is True
    assert mode(path) == 0o600


def test_mode_can_be_given(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    write_private(path, "text", 0o644)
    assert mode(path) == 0o644


def test_damaged_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xff\xfe")
    assert write_private(str(path), "text") is True
    assert path.read_text() == "text"


def test_text_in_any_language_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    write_private(path, "zażółć 🎈\n")
    assert write_private(path, "zażółć 🎈\n") is False
    assert read_text(path) == "zażółć 🎈\n"


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "y").write_text("")
    with pytest.raises(MachineError, match="can't write"):
        write_private(str(folder), "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    with pytest.raises(MachineError, match="no such file"):
        write_private(str(tmp_path / "nowhere" / "x"), "text")


def test_reading_says_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert read_text(str(tmp_path / "x")) is None
    with pytest.raises(MachineError, match="can't read"):
        read_text(str(tmp_path))


def test_damaged_state_is_a_machine_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "applied.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(MachineError, match=r"applied\.json is damaged"):
        read_text(str(path))


def test_input_is_read_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "hub.yaml"
    path.write_bytes(b"\xff")
    assert read_input(str(path)) == b"\xff"


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.yaml", "no such file"), (".", "is a directory"), ("a\0b", "not the name"), ("x" * 300, "too long")],
)
def test_input_that_cannot_be_read_is_the_users_fault(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_input(f"{tmp_path}/{name}")


def test_input_is_never_read_without_end() -> None:
    with pytest.raises(InputError, match=f"over {MAX_INPUT_BYTES:,} bytes"):
        read_input("/dev/zero")


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("")
    remove(str(path))
    remove(str(path))
    assert not path.exists()
    with pytest.raises(MachineError, match="can't remove"):
        remove(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "lines", "tail"),
    [
        ("", 3, []),
        ("a\n", 3, ["a"]),
        ("a\nb\nc\nd", 2, ["c", "d"]),
        ("a\n\nb\n", 2, ["", "b"]),
        ("x" * 100 + "\nend\n", 5, ["x" * 16, "end"]),
    ],
)
def test_tail_is_the_last_lines_of_the_last_bytes(tmp_path: Path, text: str, lines: int, tail: list[str]) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    assert read_tail(str(path), lines, limit=21) == tail


def test_tail_of_what_is_not_text_or_not_there_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff\xfe\nok\n")
    assert read_tail(str(path), 5)[-1] == "ok"
    assert read_tail(str(tmp_path / "nowhere"), 5) == []


def test_unused_files_are_removed_and_folders_are_not(tmp_path: Path) -> None:
    for name in ("kept", "old", ".old.x1y2"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    remove_others(str(tmp_path), {str(tmp_path / "kept"): "text"})
    assert {entry.name for entry in tmp_path.iterdir()} == {"kept", "folder"}
    remove_others(str(tmp_path / "missing"), {})


def test_path_that_no_socket_can_have_is_refused() -> None:
    check_socket_path("/" + "x" * 102)
    for path, said in (("/" + "x" * 103, "1 character too"), ("/" + "é" * 60, "18 characters too")):
        with pytest.raises(MachineError, match=f"the state directory's path is {said} long for a socket") as refused:
            check_socket_path(path)
        assert "--state" in refused.value.hints[0]


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_has_no_end_is_not_read(tmp_path: Path, kind: str) -> None:
    """Root may be given the state directory of another user."""
    path = tmp_path / "applied.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(path))
    with pytest.raises(MachineError):
        read_text(str(path))
    assert write_private(str(path), "text") is True
    assert read_text(str(path)) == "text"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_log_that_has_no_end_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "media.log"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with contextlib.suppress(MachineError):
        assert read_tail(str(path), 5) == []


def test_file_that_is_too_long_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_TEXT_BYTES", 6)
    (tmp_path / "x").write_text("zażó")
    assert read_text(str(tmp_path / "x")) == "zażó"
    (tmp_path / "x").write_text("zażół")
    with pytest.raises(NotTextError, match="too long"):
        read_text(str(tmp_path / "x"))


def test_file_that_is_gone_or_can_be_written_is_on_no_read_only_file_system(tmp_path: Path) -> None:
    assert not is_read_only(str(tmp_path / "gone"))
    (tmp_path / "there").touch()
    assert not is_read_only(str(tmp_path / "there"))


def test_file_that_is_made_once_has_its_name_also_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    path = tmp_path / "keys"

    def note(handle: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    assert create_private(str(path), "text")
    assert synced == [(False, False), (True, True)], "the text before it has its name, then the name"
