"""Whether a unit that `lkhub install` has written was edited since: its last line has a digest of all above. A copy
of it lies with the programs, to show an edit by."""

import glob
import os
import stat
from collections.abc import Iterable

from lkhub.checks.drift import EditedFile
from lkhub.host.files import FIXED_PLACE, digest, explain_os_errors, read_text, remove, write_private
from lkhub.hub.progress import Progress
from lkhub.plan.paths import name_edited
from lkhub.plan.service import AGENT_UNITS, SITE_UNITS, Service

# Everybody may read a unit, and what it was.
_COPIES_MODE = 0o755

_MARK = "# lkhub install wrote this, and writes it again. sha256:"


def write_unit(path: str, text: str, mode: int, copies: str, progress: Progress) -> None:
    """Put a unit in place, and a copy of it into the folder `copies`. One that was edited is kept beside it. Raises
    MachineError."""
    before = read_text(path, FIXED_PLACE)
    wanted = _mark(text)
    if before is not None and before != wanted and is_edited_text(before):
        kept = name_edited(path)
        write_private(kept, before, stat.S_IMODE(os.stat(path).st_mode), place=FIXED_PLACE)
        name = os.path.basename(path)
        progress.warn(f"{name} was edited; it is written again, and the edit is kept as {kept}")
    write_private(path, wanted, mode, place=FIXED_PLACE)
    with explain_os_errors(copies, "write", FIXED_PLACE):
        os.makedirs(copies, exist_ok=True)
        os.chmod(copies, _COPIES_MODE)
    write_private(_name_copy(path, copies), wanted, mode, place=FIXED_PLACE)


def remove_unit(path: str, copies: str) -> None:
    """Remove a unit and its copy. Raises MachineError."""
    remove(path, FIXED_PLACE)
    remove(_name_copy(path, copies), FIXED_PLACE)


def _name_copy(path: str, copies: str) -> str:
    return f"{copies}/{os.path.basename(path)}"


def is_edited_text(text: str) -> bool:
    """Whether this unit is not as it was written. False for one without a mark, as earlier versions wrote it."""
    above, mark, rest = text.rpartition(_MARK)
    return bool(mark) and rest.strip() != digest(above.encode())


def find_edited(path: str, copies: str) -> tuple[EditedFile | None, EditedFile | None]:
    """The unit in this place where it was edited, beside what was written; and an edit that was written over, beside
    the unit. Raises MachineError."""
    text, copy, kept = read_text(path, FIXED_PLACE) or "", _name_copy(path, copies), name_edited(path)
    written, edit = read_text(copy, FIXED_PLACE), read_text(kept, FIXED_PLACE)
    if written and _read_mark(written) != _read_mark(text):
        written = None  # another version has written the unit since, without a copy
    now = EditedFile(copy, path, text, written) if is_edited_text(text) else None
    return now, None if edit is None else EditedFile(path, kept, edit, text)


def _read_mark(text: str) -> str:
    return text.rpartition(_MARK)[2].partition("\n")[0]


def _mark(text: str) -> str:
    return f"{text}{_MARK}{digest(text.encode())}\n"


def list_other_units(service: Service) -> list[str]:
    """The units that are in place beside the hub's own: of agents, and of the builds of sites."""
    if service.of_user:
        return []
    folder = os.path.dirname(service.unit_file)
    return sorted(path for names in (AGENT_UNITS, SITE_UNITS) for path in glob.glob(f"{folder}/{names}"))


def is_older(started: float | None, paths: Iterable[str]) -> bool:
    """Whether a unit was started before one of these files was put in place. Those that were written by an install that
    was cut off count too."""
    files = [os.stat(path) for path in paths]
    return started is not None and any(max(file.st_mtime, file.st_ctime) > started for file in files)
