"""An archive of regular files, in the format of tar, written and read as a stream.

It is read by twenty lines of our own, with tarfile for the headers alone: an archive that somebody else made may have
links, devices, sparse files, headers of gigabytes and names that lead elsewhere, and tarfile takes all of them.
"""

import hashlib
import os
import tarfile
from typing import IO

from lkhub.errors import InputError
from lkhub.host.files import DIR_MODE, FILE_MODE, digest, explain_os_errors

MANIFEST = "manifest.json"
"""The name of the first file."""

# The manifest of ten thousand files.
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024

_CHUNK = 1024 * 1024
_BLOCK = tarfile.BLOCKSIZE


class ArchiveError(InputError):
    """The archive is not as it was written."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the backup is damaged: {problem}", hints=("nothing was changed",))


def name_member(path: str) -> str:
    """The name of a file in the archive: its path, or a digest of it where the format has no room for the path."""
    try:
        tarfile.TarInfo(path).tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError:
        return f"long/{digest(path.encode())}"
    return path


class ArchiveWriter:
    """Writes files one after the other."""

    def __init__(self, to: IO[bytes], made: float) -> None:
        self._to, self._made = to, int(made)

    def add(self, path: str, size: int, source: IO[bytes]) -> None:
        """Add `size` bytes of `source` as the file `path`. Raises OSError."""
        member = tarfile.TarInfo(name_member(path))
        member.size, member.mtime, member.mode = size, self._made, FILE_MODE
        self._to.write(member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
        left = size
        while left:
            chunk = source.read(min(left, _CHUNK))
            if not chunk:
                raise ArchiveError(f"{path} became shorter while it was read")
            self._to.write(chunk)
            left -= len(chunk)
        self._to.write(b"\0" * (-size % _BLOCK))

    def finish(self) -> None:
        """Write the end, without which the archive is not whole."""
        self._to.write(b"\0" * 2 * _BLOCK)
        self._to.flush()


class ArchiveReader:
    """Reads what ArchiveWriter has written. All of its functions raise ArchiveError where it is not that."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    def read_manifest(self) -> str:
        size = self._read_header(MANIFEST)
        if size > _MAX_MANIFEST_BYTES:
            raise ArchiveError("its manifest is too long")
        raw = self._read(size)
        self._read(-size % _BLOCK)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise ArchiveError("its manifest is no text") from None

    def unpack(self, path: str, size: int, sha256: str, target: str) -> None:
        """Write the next file, which must be `path`, to the new file `target`. Raises MachineError too."""
        if self._read_header(name_member(path)) != size:
            raise ArchiveError(f"{path} has another size than its manifest says")
        summed = hashlib.sha256()
        with explain_os_errors(target, "write"):
            os.makedirs(os.path.dirname(target), mode=DIR_MODE, exist_ok=True)
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(handle, "wb") as file:
                left = size
                while left:
                    chunk = self._read(min(left, _CHUNK))
                    summed.update(chunk)
                    file.write(chunk)
                    left -= len(chunk)
                file.flush()
                os.fsync(file.fileno())
        self._read(-size % _BLOCK)
        if summed.hexdigest() != sha256:
            raise ArchiveError(f"{path} is not what its manifest says")

    def finish(self) -> None:
        """Read the end."""
        if any(self._read(2 * _BLOCK)) or self._source.read(1):
            raise ArchiveError("it has more files than its manifest says")

    def _read_header(self, name: str) -> int:
        """The size of the next file, which must have this name."""
        try:
            member = tarfile.TarInfo.frombuf(self._read(_BLOCK), "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise ArchiveError(f"where {name} should begin, there is something else") from None
        if member.name != name or member.type != tarfile.REGTYPE or member.size < 0:
            raise ArchiveError(f"where {name} should be, there is something else")
        return member.size

    def _read(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise ArchiveError("it ends too early")
        return data
