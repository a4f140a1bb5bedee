"""When the keys that lkhub generated were made, and since when they are retiring. The keys are in the key file."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class KeyNote:
    """The API key `id` was made at `made`, and has been retiring since `retired` (epoch seconds). None: not known, or
    not retiring."""

    id: str
    made: Epoch | None = None
    retired: Epoch | None = None


@dataclass(frozen=True)
class _Record:
    keys: tuple[KeyNote, ...]


def read_notes(paths: StatePaths) -> dict[str, KeyNote]:
    """What is known of the keys, by their IDs."""
    record = find_record(_Record, paths.ring)
    return {note.id: note for note in record.keys} if record else {}


def write_notes(paths: StatePaths, notes: Iterable[KeyNote]) -> None:
    """Raises MachineError."""
    write_record(_Record(tuple(notes)), paths.ring)


def follow_ring(
    notes: dict[str, KeyNote], before: Iterable[str], after: Iterable[str], now: float
) -> tuple[KeyNote, ...]:
    """The notes after a change of the ring. `before` and `after` are its IDs, the current one first."""
    old, new = list(before), list(after)
    found = []
    for each in new:
        note = notes.get(each) or KeyNote(each, None if each in old else now)
        if each == new[0]:
            note = replace(note, retired=None)
        elif old and each == old[0]:
            note = replace(note, retired=now)
        found.append(note)
    return tuple(found)
