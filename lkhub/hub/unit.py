"""Whether the unit that `lkhub install` has written was edited since: its last line has a digest of all above."""

import os

from lkhub.host.files import digest, read_text, write_private
from lkhub.hub.progress import Progress
from lkhub.plan.paths import name_edited
from lkhub.plan.service import UNIT, Service

_MARK = "# lkhub install wrote this, and writes it again. sha256:"


def write_unit(service: Service, text: str, mode: int, progress: Progress) -> None:
    """Put the unit in place. One that was edited is kept beside it. Raises MachineError."""
    before = read_text(service.unit_file)
    wanted = _mark(text)
    if before is not None and before != wanted and is_edited_text(before):
        kept = name_edited(service.unit_file)
        write_private(kept, before, mode)
        progress.warn(f"{UNIT} was edited; it is written again, and the edit is kept as {kept}")
    write_private(service.unit_file, wanted, mode)


def is_edited_text(text: str) -> bool:
    """Whether this unit is not as it was written. False for one without a mark, as earlier versions wrote it."""
    above, mark, rest = text.rpartition(_MARK)
    return bool(mark) and rest.strip() != digest(above.encode())


def find_edited(service: Service) -> tuple[bool, str]:
    """Whether the unit that is in place was edited, and the copy of one that was, "" where there is none. Raises
    MachineError."""
    text = read_text(service.unit_file)
    kept = name_edited(service.unit_file)
    return text is not None and is_edited_text(text), kept if os.path.exists(kept) else ""


def _mark(text: str) -> str:
    return f"{text}{_MARK}{digest(text.encode())}\n"
