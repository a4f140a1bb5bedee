"""Files of applications: replaced in one step, with owner, mode and links kept."""

import errno
import os
from pathlib import Path

import pytest

from lkhub.errors import InputError, MachineError
from lkhub.host import app_file
from lkhub.host.app_file import ForbiddenFileError, read_app_file, replace_app_file
from lkhub.host.files import MAX_INPUT_BYTES
from tests.host.modes import mode

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


def put(path: Path, content: bytes) -> None:
    replace_app_file(read_app_file(str(path)), content)


def owner(path: Path) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_uid, status.st_gid


@pytest.mark.parametrize("before", [0o600, 0o640, 0o644, 0o400, 0o755])
def test_mode_stays_and_nothing_is_left_beside(tmp_path: Path, before: int) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"old")
    file.chmod(before)
    put(file, b"new\xff")
    assert (file.read_bytes(), mode(file)) == (b"new\xff", before)
    assert os.listdir(tmp_path) == [".env"]


def test_new_file_is_private(tmp_path: Path) -> None:
    file = read_app_file(str(tmp_path / ".env"))
    assert (file.content, file.mode) == (None, 0o600)
    replace_app_file(file, b"new")
    assert (mode(tmp_path / ".env"), (tmp_path / ".env").read_bytes()) == (0o600, b"new")


def test_file_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that has the file open reads the old text to its end; a disk that is full leaves the old file."""
    file = tmp_path / ".env"
    file.write_bytes(b"old")
    with open(file, "rb") as reader:
        put(file, b"new")
        assert reader.read() == b"old"

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MachineError, match="no space left"):
        put(file, b"newer")
    assert file.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.parametrize("relative", [True, False])
def test_links_stay_links(tmp_path: Path, relative: bool) -> None:
    real = tmp_path / "shared" / "env"
    real.parent.mkdir()
    real.write_bytes(b"old")
    (tmp_path / "1").symlink_to("shared" if relative else real.parent)
    (tmp_path / "2").symlink_to("./1/../1/env" if relative else tmp_path / "1" / "env")
    put(tmp_path / "2", b"new")
    assert real.read_bytes() == b"new"
    assert (tmp_path / "2").is_symlink()
    assert os.listdir(real.parent) == ["env"]
    assert read_app_file(str(tmp_path / "2")).path == os.path.realpath(real)


def test_link_to_a_file_that_is_not_there_makes_it(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to("real.env")
    put(tmp_path / ".env", b"new")
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real.env").read_bytes() == b"new"


def test_path_of_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b" " * (MAX_INPUT_BYTES + 1))
    for name in ("loop", "nowhere/.env", "file/.env", ".", "pipe", "long", "x" * 300, "a\0b"):
        with pytest.raises(InputError) as refused:
            read_app_file(os.path.join(tmp_path, name))
        assert "\0" not in refused.value.message


def allow_nobody(path: Path, name: str) -> bytes:
    """Set an access list: user::rw-, user:nobody:r--, group::---, mask::r--, other::--- as the kernel packs it
    (linux/posix_acl_xattr.h)."""
    entries = ((1, 6, 0xFFFFFFFF), (2, 4, NOBODY), (4, 0, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    packed = (2).to_bytes(4, "little")
    packed += b"".join(
        tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + id.to_bytes(4, "little") for tag, perm, id in entries
    )
    try:
        os.setxattr(path, name, packed)
    except OSError as error:
        pytest.skip(f"this file system has no access lists: {error}")
    return packed


def test_access_list_stays(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"old")
    packed = allow_nobody(file, "system.posix_acl_access")
    before = mode(file)
    put(file, b"new")
    assert os.getxattr(file, "system.posix_acl_access") == packed
    assert mode(file) == before


@pytest.mark.parametrize("before", [None, b"old"])
def test_file_is_written_where_there_are_no_access_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    """Such as on sshfs, and in a folder that a virtual machine shares with its host."""

    def refuse(handle: int) -> list[str]:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "listxattr", refuse, raising=False)
    file = tmp_path / ".env"
    if before:
        file.write_bytes(before)
    put(file, b"new")
    assert file.read_bytes() == b"new"


def test_file_gets_no_access_list_of_its_folder(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"old")
    file.chmod(0o640)
    allow_nobody(tmp_path, "system.posix_acl_default")
    put(file, b"new")
    assert "system.posix_acl_access" not in os.listxattr(file)
    assert mode(file) == 0o640


@as_root
@pytest.mark.parametrize("folder_owner", [0, NOBODY])
def test_root_leaves_a_file_to_its_owner(tmp_path: Path, folder_owner: int) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"old")
    file.chmod(0o640)
    os.chown(file, NOBODY, 12345)
    os.chown(tmp_path, folder_owner, folder_owner)
    put(file, b"new")
    assert (owner(file), mode(file), file.read_bytes()) == ((NOBODY, 12345), 0o640, b"new")


@as_root
def test_file_that_root_makes_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, 12345)
    put(tmp_path / ".env", b"new")
    assert (owner(tmp_path / ".env"), mode(tmp_path / ".env")) == ((NOBODY, 12345), 0o600)


@as_root
@pytest.mark.parametrize("where", ["file", "folder"])
def test_root_follows_no_link_of_another_user_to_a_third_ones_file(tmp_path: Path, where: str) -> None:
    real = tmp_path / "etc" / ".env"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link = tmp_path / (".env" if where == "file" else "app")
    link.symlink_to(real if where == "file" else real.parent)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    given = link if where == "file" else link / ".env"
    with pytest.raises(ForbiddenFileError, match="a link of nobody to a file of root") as refused:
        read_app_file(str(given))
    assert str(real) in refused.value.hints[0]
    os.chown(real, NOBODY, NOBODY)
    put(given, b"new")
    assert (real.read_bytes(), owner(real)) == (b"new", (NOBODY, NOBODY))


@pytest.mark.parametrize("when", ["found", "read"])
def test_folder_that_becomes_a_link_meanwhile_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The owner of a folder sees when root reads the file in it, and may replace the folder then."""
    app, other = tmp_path / "app", tmp_path / "other"
    for folder in (app, other):
        folder.mkdir()
        (folder / ".env").write_bytes(folder.name.encode())

    def swap() -> None:
        app.rename(tmp_path / "away")
        app.symlink_to(other)

    if when == "found":
        follow = app_file._follow

        def follow_and_swap(path: str) -> tuple[str, list[os.stat_result]]:
            found = follow(path)
            swap()
            return found

        monkeypatch.setattr(app_file, "_follow", follow_and_swap)
        with pytest.raises(InputError, match="not a directory"):
            read_app_file(str(app / ".env"))
    else:
        file = read_app_file(str(app / ".env"))
        swap()
        with pytest.raises(InputError, match="not a directory"):
            replace_app_file(file, b"new")
    assert (other / ".env").read_bytes() == b"other"
    assert os.listdir(other) == [".env"]


@as_user
def test_folder_that_is_closed_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"old")
    file = read_app_file(str(tmp_path / ".env"))
    tmp_path.chmod(0o500)
    with pytest.raises(ForbiddenFileError, match="permission denied"):
        replace_app_file(file, b"new")
    tmp_path.chmod(0o700)
    (tmp_path / ".env").chmod(0)
    with pytest.raises(ForbiddenFileError, match="permission denied"):
        read_app_file(str(tmp_path / ".env"))


@as_root
def test_file_that_can_not_keep_its_owner_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to a folder may replace a file in it, but it would become his own."""
    file = tmp_path / ".env"
    file.write_bytes(b"old")
    os.chown(file, NOBODY, NOBODY)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(ForbiddenFileError, match="permission denied"):
        put(file, b"new")
    assert (file.read_bytes(), os.listdir(tmp_path)) == (b"old", [".env"])
