"""The record of the port mappings that the router was asked for. The command writes it; a running hub renews it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from lkhub.errors import MachineError
from lkhub.host.files import ensure_private_dir, explain_os_errors, open_lock, read_text
from lkhub.host.state_directory import ensure_state_dir
from lkhub.plan.model import Protocol
from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import parse_record, write_record
from lkhub.wire.portmap import Means


@dataclass(frozen=True)
class Mapping:
    """One port that the router sends to this machine. `since` and `until` are Unix time; `until` is None if it has no
    end. Not `own`: the mapping existed before, with the same target, and stays when the hub's own are removed."""

    protocol: Protocol
    port: int
    name: str
    since: Epoch
    until: Epoch | None
    own: bool = True

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


@dataclass(frozen=True)
class RouterRecord:
    """What the router at `gateway` maps to `local`. `nonce` proves to a router that speaks PCP that the mappings belong
    to this hub. `external_address` is the router's own, None in a record of a version that did not write it."""

    gateway: str
    local: str
    means: Means
    nonce: str
    mappings: tuple[Mapping, ...]
    external_address: str | None = None

    def __post_init__(self) -> None:
        if self.external_address is not None:
            IPv4Address(self.external_address)  # raises ValueError: the record is damaged

    @property
    def renew_at(self) -> float | None:
        """When to renew: at half of the lease that ends first, as RFC 6887, section 11.2.1, has it. None: never."""
        halves = [(each.since + each.until) / 2 for each in self.mappings if each.until is not None]
        return min(halves, default=None)

    @property
    def since(self) -> float:
        """When the first of the mappings was granted, in Unix time."""
        return min((each.since for each in self.mappings), default=0.0)

    @property
    def ends(self) -> float | None:
        """When the first of the mappings ends, in Unix time. None: never."""
        return min((each.until for each in self.mappings if each.until is not None), default=None)

    @property
    def is_behind_another(self) -> bool | None:
        """Whether the router's own address is no address of the internet, so that clients there can't reach it. None:
        its address is not known."""
        return None if self.external_address is None else not IPv4Address(self.external_address).is_global


def read_router(paths: StatePaths) -> RouterRecord | None:
    """The record; None if the router was asked for nothing. Raises MachineError if the file is damaged."""
    text = read_text(paths.router)
    try:
        return parse_record(RouterRecord, text) if text else None
    except ValueError:
        raise MachineError(f"{paths.router} is damaged", hints=("remove it; mappings end by themselves",)) from None


def write_router(paths: StatePaths, record: RouterRecord) -> None:
    write_record(record, paths.router)


@contextlib.contextmanager
def hold_router(paths: StatePaths, *, wait: bool) -> Iterator[bool]:
    """Hold the lock for asking the router and changing the record. Yields whether it is held; with `wait` it always is.

    A hub that renewed mappings while the command removes them would leave ports open that are on no record.
    """
    ensure_state_dir(paths.root)
    ensure_private_dir(paths.run)
    with explain_os_errors(paths.router_lock, "write"):
        handle = open_lock(paths.router_lock)
    try:
        yield _lock(handle, wait)
    finally:
        os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return True
    except BlockingIOError:
        return False
