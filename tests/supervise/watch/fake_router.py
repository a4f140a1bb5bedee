"""A router that grants what the supervisor requests, and the records of its mappings."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lkhub.host import router as host_router
from lkhub.state.router import Mapping, RouterRecord
from lkhub.supervise.timings import USUAL

NOW, LEASE = 1_000_000.0, 12 * 3600.0
UPLINK = ("192.168.1.1", "192.168.1.5")


def lease(since: float) -> RouterRecord:
    mappings = (Mapping("udp", 7882, "lkhub media.udp", since, since + LEASE),)
    return RouterRecord(*UPLINK, "pcp", "aa", mappings, "1.2.3.4")


FRESH, OLD, DUE, ENDED = (lease(NOW - age) for age in (0.0, USUAL.router_ask, LEASE / 2, LEASE))


def change(record: RouterRecord, **changes: Any) -> RouterRecord:
    """The record, with something else of its only mapping."""
    return replace(record, mappings=(replace(record.mappings[0], **changes),))


class FakeRouter:
    """In place of the engine and the router. `asked` are the records to renew; each request calls `do`.
    `uplink` is the gateway and this machine's address towards it."""

    def __init__(self) -> None:
        self.uplink: tuple[str, str] | None = UPLINK
        self.asked: list[RouterRecord] = []
        self.do: Callable[[], object] = lambda: None
        self.grants = FRESH

    def find_local(self, gateway: str) -> str | None:
        return self.uplink[1] if self.uplink else None

    async def renew(self, record: RouterRecord) -> RouterRecord:
        if self.uplink is None:
            raise host_router.OtherRouterError("this machine has no router")
        gateway, local = self.uplink
        if gateway != record.gateway:
            raise host_router.OtherRouterError(f"they are those of {record.gateway}, and this one is {gateway}")
        self.asked.append(record)
        self.do()
        return replace(self.grants, gateway=gateway, local=local)

    def refuse(self, error: Exception | None) -> None:
        def fail() -> None:
            if error:
                raise error

        self.do = fail
