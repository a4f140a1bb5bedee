"""The record of the last program that got a token although it listens for other machines, on a hub with
`reach: local`."""

from dataclasses import dataclass

from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record


@dataclass(frozen=True)
class AskerRecord:
    """`at` is when the program got the token (epoch seconds). The other fields are as in lkhub.host.peer.Peer."""

    at: Epoch
    user: str
    service: bool = False
    pid: int | None = None
    name: str = ""
    listens: tuple[str, ...] = ()


def write_asker(path: str, asker: AskerRecord) -> None:
    write_record(asker, path)


def read_asker(path: str) -> AskerRecord | None:
    """The record; None if there is none."""
    return find_record(AskerRecord, path)
