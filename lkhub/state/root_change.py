"""The record of when and why the hub's own root certificate was replaced."""

from dataclasses import dataclass

from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import dump_record, find_record


@dataclass(frozen=True)
class RootChange:
    """`at` in epoch seconds; `reason` follows "as"."""

    at: Epoch
    reason: str


def dump_root_change(change: RootChange) -> str:
    """The text of the file at `StatePaths.root_change`, which is written with the authority's own files."""
    return dump_record(change)


def read_root_change(paths: StatePaths) -> RootChange | None:
    """The record; None if the root was never replaced or the record can't be read."""
    return find_record(RootChange, paths.root_change)
