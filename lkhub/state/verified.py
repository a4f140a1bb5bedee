"""The record of the last verification."""

from dataclasses import dataclass

from lkhub.checks.paths import PathResult, WebResult
from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class VerifiedRecord:
    """See lkhub.hub.status.Verified."""

    at: Epoch
    paths: tuple[PathResult, ...]
    note: str = ""
    web: tuple[WebResult, ...] = ()
    uncertified: bool = False


def read_verified(paths: StatePaths) -> VerifiedRecord | None:
    """The record; None before the first verification, and if the record can't be read."""
    return find_record(VerifiedRecord, paths.verified)


def write_verified(paths: StatePaths, record: VerifiedRecord) -> None:
    write_record(record, paths.verified)
