"""The archive of a backup: read as it was written, and refused where it is anything else."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lkhub.host.archive import MANIFEST, ArchiveError, ArchiveReader, ArchiveWriter, name_member
from lkhub.host.files import digest

FILES = {"state/ca/root.key": b"key\n", "state/store.db": bytes(range(256)) * 9, "spec/hub.yaml": b""}

LONG = f"state/caddy/certificates/issuer/{'label-' * 40}.example/{'label-' * 40}.example.key"


def write(files: Mapping[str, bytes], manifest: bytes = b"{}") -> bytes:
    made = io.BytesIO()
    archive = ArchiveWriter(made, 1.5)
    for path, content in {MANIFEST: manifest, **files}.items():
        archive.add(path, len(content), io.BytesIO(content))
    archive.finish()
    return made.getvalue()


def read(raw: bytes, files: Mapping[str, bytes], folder: Path) -> str:
    archive = ArchiveReader(io.BytesIO(raw))
    manifest = archive.read_manifest()
    for path, content in files.items():
        archive.unpack(path, len(content), digest(content), f"{folder}/{path}")
    archive.finish()
    return manifest


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    files = {**FILES, LONG: b"in a folder with a long name"}
    assert read(write(files), files, tmp_path) == "{}"
    assert list_files(tmp_path) == files
    for path in files:
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o600


def test_tar_reads_it_too() -> None:
    with tarfile.open(fileobj=io.BytesIO(write(FILES))) as archive:
        assert archive.getnames() == [MANIFEST, *FILES]
        found = archive.extractfile("state/store.db")
        assert found
        assert found.read() == FILES["state/store.db"]


def test_path_that_tar_has_no_room_for_has_another_name() -> None:
    assert name_member("state/ca/root.key") == "state/ca/root.key"
    assert name_member(LONG) == f"long/{digest(LONG.encode())}"


@pytest.mark.parametrize("size", [0, 1, 100, 511, 512, 1023, 1024, 2047, 2048, 4000])
def test_archive_that_ends_too_early_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(ArchiveError):
        read(write(FILES)[:size], FILES, tmp_path)


def test_file_that_became_shorter_is_not_written_as_if_it_were_whole() -> None:
    with pytest.raises(ArchiveError, match="became shorter"):
        ArchiveWriter(io.BytesIO(), 1.5).add("state/store.db", 5, io.BytesIO(b"four"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_altered_archive_is_refused_or_says_the_same(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(write(FILES))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    try:
        manifest = read(bytes(raw), FILES, folder)
    except ArchiveError:
        return
    # What was altered is the manifest, which its own reader judges, or means nothing.
    assert len(manifest) == 2
    assert list_files(folder) == FILES


def plant(kind: bytes, **fields: Any) -> bytes:
    """An archive whose second file has another type."""
    member = tarfile.TarInfo("state/ca/root.key")
    member.type = kind
    for name, value in fields.items():
        setattr(member, name, value)
    first = write({})[: 2 * 512]
    return first + member.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 2048


@pytest.mark.parametrize(
    "raw",
    [
        plant(tarfile.SYMTYPE, linkname="/etc/passwd"),
        plant(tarfile.LNKTYPE, linkname="state/store.db"),
        plant(tarfile.CHRTYPE, devmajor=1, devminor=5),
        plant(tarfile.FIFOTYPE),
        plant(tarfile.DIRTYPE),
        plant(tarfile.XHDTYPE, size=2**33 - 1),
        plant(tarfile.GNUTYPE_LONGNAME, size=2**33 - 1),
        plant(tarfile.GNUTYPE_SPARSE),
        plant(tarfile.REGTYPE, name="state/ca/../../../etc/passwd"),
    ],
    ids=["link", "hard link", "device", "pipe", "folder", "long header", "long name", "sparse", "elsewhere"],
)
def test_nothing_but_the_expected_regular_file_is_taken(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(ArchiveError, match="there is something else"):
        read(raw, {"state/ca/root.key": b"key\n"}, tmp_path)
    assert list_files(tmp_path) == {}


def test_file_of_another_size_or_content_is_refused(tmp_path: Path) -> None:
    for other in (b"another", b"yek\n"):
        with pytest.raises(ArchiveError, match="its manifest says"):
            read(write({"state/identity": other}), {"state/identity": b"key\n"}, tmp_path / digest(other))


def test_more_files_than_the_manifest_says_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="more files"):
        read(write(FILES), {}, tmp_path)
    with pytest.raises(ArchiveError, match="more files"):
        read(write(FILES) + b"\0", FILES, tmp_path)


def test_manifest_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="too long"):
        read(write({}, b" " * 5_000_000), {}, tmp_path)
    with pytest.raises(ArchiveError, match="no text"):
        read(write({}, b"\xff"), {}, tmp_path)


def test_file_that_is_there_is_never_written_through(tmp_path: Path) -> None:
    """A name that a file system takes for another, or a link that was put there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/identity").symlink_to(elsewhere)
    with pytest.raises(Exception, match="can't write"):
        read(write({"state/identity": b"x"}), {"state/identity": b"x"}, tmp_path)
    assert elsewhere.read_text() == "precious"
