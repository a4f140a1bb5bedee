"""The record of a restore that is being put in place."""

import os
from dataclasses import dataclass

from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class RestoreRecord:
    """What a killed restore has to go on with. `names` are put into the state directory, and what is there instead goes
    to the folder `aside`. `spec` are the files that are put in place by their absolute paths; each is beside its place
    already."""

    names: tuple[str, ...]
    aside: str
    spec: tuple[str, ...] = ()


def read_restore(paths: StatePaths) -> RestoreRecord | None:
    """The record; None where no restore is under way, or the file is damaged."""
    return find_record(RestoreRecord, paths.restore_record)


def require_restored(paths: StatePaths) -> None:
    """Raise MachineError where a restore has begun and not ended: what is there is of two hubs."""
    if not os.path.lexists(paths.restore_record):
        return
    if read_restore(paths) is None and os.access(paths.restore_record, os.R_OK):
        raise MachineError(
            f"a restore was interrupted, and {paths.restore_record} does not say where",
            hints=("`lkhub restore FILE --force` begins anew; nothing of the hub that was there is lost",),
        )
    raise MachineError(f"a restore has begun in {paths.root}, and has not ended", hints=("`lkhub up` goes on with it",))


def write_restore(paths: StatePaths, record: RestoreRecord) -> None:
    """Raises MachineError."""
    write_record(record, paths.restore_record)
