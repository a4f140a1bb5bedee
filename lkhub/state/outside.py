"""The record of which paths clients on other machines have used."""

from collections.abc import Mapping
from dataclasses import dataclass

from lkhub.plan.model import Sighting, Sightings
from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class PathUse:
    """The use of a path. `told` has its addresses and ports, `since` when it got them (epoch seconds). `seen` is the
    last use since then that proves that the path is open from outside, `unproven` the last use that does not."""

    told: str
    since: Epoch
    seen: Sighting | None = None
    unproven: Sighting | None = None

    @property
    def best(self) -> Sighting | None:
        """The last use that proves that the path is open from outside, otherwise the last use."""
        return self.seen or self.unproven


PathUses = Mapping[str, PathUse]
"""By path."""


@dataclass(frozen=True)
class _Record:
    paths: PathUses


def read_uses(paths: StatePaths) -> PathUses:
    """The uses on record; empty if the record can't be read."""
    record = find_record(_Record, paths.outside)
    return record.paths if record else {}


def write_uses(paths: StatePaths, uses: PathUses) -> None:
    """Raises MachineError if the record can't be written."""
    write_record(_Record(uses), paths.outside)


def read_sightings(paths: StatePaths) -> Sightings:
    """The best use on record of each path whose use can be seen."""
    return {path: use.best for path, use in read_uses(paths).items()}
