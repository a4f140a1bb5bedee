"""Keeps what somebody has written into a rendered file, which lkhub is about to write anew."""

import os
from collections.abc import Mapping, Sequence

from lkhub.errors import MachineError
from lkhub.host import files
from lkhub.plan.paths import is_editable, name_edited
from lkhub.prepare.hub import PreparedHub
from lkhub.supervise.shared import Say


def digest_rendered(hub: PreparedHub) -> dict[str, str]:
    """A digest of each rendered file that people may edit, by its name. For the applied record: the next supervisor
    finds out from it which of them were edited while no hub was up."""
    return {os.path.basename(path): files.digest(hub.files[path].encode()) for path in _list_editable(hub)}


def keep_edited(wanted: PreparedHub, written: Sequence[Mapping[str, str]], say: Say) -> None:
    """Copy each rendered file that was edited, before it is written as `wanted` has it. Each of `written` has the
    digests of the files as lkhub may have written them last. A file that is missing, empty, cut off within a line or
    has zeros, as after a power cut, is damaged, and not edited. Raises MachineError where the copy can't be written."""
    for path in _list_editable(wanted):
        try:
            found = files.read_text(path)
        except MachineError:
            continue
        ours = {digests[name] for digests in written if (name := os.path.basename(path)) in digests}
        if not found or not ours or found == wanted.files[path] or files.digest(found.encode()) in ours:
            continue
        if "\0" in found or (wanted.files[path].startswith(found) and not found.endswith("\n")):
            continue
        kept = _find_name(path, found)
        if files.write_private(kept, found):
            say(f"{path} was edited; it is written again as the spec says, and the edit is kept as {kept}")


def _list_editable(hub: PreparedHub) -> list[str]:
    folder = hub.plan.paths.rendered
    return [path for path in hub.files if os.path.dirname(path) == folder and is_editable(path)]


def _find_name(path: str, text: str) -> str:
    """The first name of a copy that is free, or that has this text already."""
    number = 1
    while True:
        name = name_edited(path, number)
        try:
            if files.read_text(name) in (None, text):
                return name
        except MachineError:
            pass
        number += 1
