"""The record of the last program that listens for others and was given a token, on a hub for this machine alone."""

from dataclasses import dataclass

from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class AskerRecord:
    """When it was given one (epoch seconds), and what it is: see lkhub.host.peer.Peer."""

    at: float
    user: str
    service: bool = False
    pid: int | None = None
    name: str = ""
    listens: tuple[str, ...] = ()


def write_asker(path: str, asker: AskerRecord) -> None:
    write_record(asker, path)


def read_asker(path: str) -> AskerRecord | None:
    """None where none is on record."""
    return find_record(AskerRecord, path)
