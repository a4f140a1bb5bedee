"""Whether a unit that `lkhub install` has written was edited since: its last line has a digest of all above."""

import glob
import os

from lkhub.host.files import digest, read_text, write_private
from lkhub.hub.progress import Progress
from lkhub.plan.paths import name_edited
from lkhub.plan.service import AGENT_UNITS, Service

_MARK = "# lkhub install wrote this, and writes it again. sha256:"


def write_unit(path: str, text: str, mode: int, progress: Progress) -> bool:
    """Put a unit in place; whether it changed. One that was edited is kept beside it. Raises MachineError."""
    before = read_text(path)
    wanted = _mark(text)
    if before is not None and before != wanted and is_edited_text(before):
        kept = name_edited(path)
        write_private(kept, before, mode)
        name = os.path.basename(path)
        progress.warn(f"{name} was edited; it is written again, and the edit is kept as {kept}")
    return write_private(path, wanted, mode)


def is_edited_text(text: str) -> bool:
    """Whether this unit is not as it was written. False for one without a mark, as earlier versions wrote it."""
    above, mark, rest = text.rpartition(_MARK)
    return bool(mark) and rest.strip() != digest(above.encode())


def find_edited(path: str) -> tuple[bool, str]:
    """Whether the unit in this place was edited, and the copy of one that was, "" where there is none. Raises
    MachineError."""
    text = read_text(path)
    kept = name_edited(path)
    return text is not None and is_edited_text(text), kept if os.path.exists(kept) else ""


def _mark(text: str) -> str:
    return f"{text}{_MARK}{digest(text.encode())}\n"


def list_agent_units(service: Service) -> list[str]:
    """The units of agents that are in place."""
    if service.of_user:
        return []
    return sorted(glob.glob(os.path.join(os.path.dirname(service.unit_file), AGENT_UNITS)))
