"""What is asked of a router and what is remembered, with routers that are told how to behave. A real one is in
tests/namespaces/test_router.py."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from lkhub.errors import MachineError
from lkhub.host import router
from lkhub.host.router import LEASE_SECONDS, RefusedError, map_ports, read_gateway, renew, unmap_ports
from lkhub.host.router_pcp import Granted, NoAnswerError, RouterError
from lkhub.plan.model import Protocol
from lkhub.state.router import Means

OUTSIDE = IPv4Address("1.2.3.4")
WANTED: list[tuple[Protocol, int, str]] = [("udp", 7882, "lkhub media.udp"), ("tcp", 443, "lkhub tls.listen")]
NOW = 1_000_000.0


class FakeRouter:
    """Grants what it is asked for, but for what `refuses` says. `mapped` is its table."""

    nonce = "aa"

    def __init__(self, means: Means = "pcp", refuses: Callable[[int], Exception | None] = lambda port: None) -> None:
        self.means: Means = means
        self.refuses = refuses
        self.mapped: dict[tuple[Protocol, int], int] = {}
        self.moves = False
        self.seconds: int | None = LEASE_SECONDS
        self.foreign: set[int] = set()

    async def map(self, protocol: Protocol, port: int, seconds: int, name: str) -> Granted:
        if error := self.refuses(port):
            raise error
        if port not in self.foreign:
            self.mapped[protocol, port] = seconds
        return Granted(port + self.moves, OUTSIDE, self.seconds, own=port not in self.foreign)

    async def unmap(self, protocol: Protocol, port: int) -> None:
        if error := self.refuses(-port):
            raise error
        self.mapped.pop((protocol, port), None)


Home = Callable[..., None]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Home:
    """The routers that answer at 192.168.1.1, in this order."""

    def make(*routers: FakeRouter, local: str = "192.168.1.5") -> None:
        monkeypatch.setattr(router, "find_gateway", lambda: ("192.168.1.1", local))
        monkeypatch.setattr(router, "list_routers", lambda gateway, local: [lambda made=made: made for made in routers])
        monkeypatch.setattr(router, "open_router", lambda record: routers[0])

    return make


def silent(port: int) -> Exception:
    return NoAnswerError("it does not answer")


pytestmark = pytest.mark.anyio


async def test_the_first_that_answers_is_taken(home: Home) -> None:
    upnp = FakeRouter("upnp")
    home(FakeRouter("pcp", silent), FakeRouter("nat-pmp", silent), upnp)
    record = await map_ports(WANTED, clock=lambda: NOW)
    assert (record.means, record.outside, list(upnp.mapped)) == ("upnp", "1.2.3.4", [("udp", 7882), ("tcp", 443)])
    assert {mapping.until for mapping in record.mappings} == {NOW + LEASE_SECONDS}


async def test_when_nobody_answers_all_are_named(home: Home) -> None:
    home(FakeRouter("pcp", silent), FakeRouter("upnp", silent))
    with pytest.raises(MachineError, match="pcp: it does not answer; upnp: it does not answer") as failed:
        await map_ports(WANTED)
    assert any("UPnP" in hint for hint in failed.value.hints)


async def test_a_refusal_leaves_nothing_mapped(home: Home) -> None:
    made = FakeRouter(refuses=lambda port: RouterError("the port is taken") if port == 443 else None)
    home(made)
    with pytest.raises(RefusedError, match="refused 443/tcp: the port is taken"):
        await map_ports(WANTED)
    assert made.mapped == {}


async def test_another_port_than_the_one_that_clients_are_told_is_a_refusal(home: Home) -> None:
    made = FakeRouter()
    made.moves = True
    home(made)
    with pytest.raises(RefusedError, match="it gave port 7883 outside: 7882 is taken"):
        await map_ports(WANTED)
    assert made.mapped == {}


async def test_a_router_that_stops_answering_is_told(home: Home) -> None:
    made = FakeRouter(refuses=lambda port: NoAnswerError("gone") if port == 443 else None)
    home(made)
    with pytest.raises(MachineError, match="stopped answering"):
        await map_ports(WANTED)
    assert made.mapped == {}


async def test_renewing_is_the_same_for_another_lease(home: Home) -> None:
    made = FakeRouter()
    home(made)
    record = await map_ports(WANTED, clock=lambda: NOW)
    assert record.renew_at == NOW + LEASE_SECONDS / 2
    made.mapped.clear()  # it was restarted
    again = await renew(record, clock=lambda: NOW + 60)
    assert set(made.mapped) == {("udp", 7882), ("tcp", 443)}
    assert again.renew_at == NOW + 60 + LEASE_SECONDS / 2


async def test_a_shorter_lease_is_renewed_sooner_and_a_permanent_one_never(home: Home) -> None:
    made = FakeRouter()
    home(made)
    made.seconds = 600
    assert (await map_ports(WANTED, clock=lambda: NOW)).renew_at == NOW + 300
    made.seconds = None
    assert (await map_ports(WANTED, clock=lambda: NOW)).renew_at is None


async def test_a_failed_renewal_leaves_what_was_mapped(home: Home) -> None:
    made = FakeRouter()
    home(made)
    record = await map_ports(WANTED)
    made.refuses = lambda port: RouterError("it has no room") if port == 443 else None
    with pytest.raises(MachineError):
        await renew(record)
    assert ("udp", 7882) in made.mapped


async def test_ports_that_are_no_longer_wanted_are_given_back(home: Home) -> None:
    made = FakeRouter()
    home(made)
    record = await map_ports(WANTED)
    assert [str(mapping) for mapping in (await map_ports(WANTED[:1], record)).mappings] == ["7882/udp"]
    assert list(made.mapped) == [("udp", 7882)]


async def test_a_router_that_is_starting_again_is_asked_in_its_own_language_alone(home: Home) -> None:
    pcp, upnp = FakeRouter("pcp"), FakeRouter("upnp")
    home(pcp, upnp)
    record = await map_ports(WANTED)
    pcp.refuses = silent
    with pytest.raises(MachineError, match=r"192\.168\.1\.1 does not take requests .* \(pcp: it does not answer\)"):
        await renew(record)
    assert upnp.mapped == {}


async def test_the_command_finds_another_router_at_the_same_address(home: Home) -> None:
    pcp, upnp = FakeRouter("pcp"), FakeRouter("upnp")
    home(pcp, upnp)
    record = await map_ports(WANTED)
    pcp.refuses = silent
    assert (await map_ports(WANTED, record)).means == "upnp"
    assert set(upnp.mapped) == {("udp", 7882), ("tcp", 443)}


async def test_another_address_asks_from_the_start(home: Home) -> None:
    first, second = FakeRouter(), FakeRouter("upnp")
    home(first)
    record = await map_ports(WANTED)
    home(second, local="192.168.1.6")
    assert (await renew(record)).means == "upnp"
    assert len(second.mapped) == 2


async def test_a_mapping_of_somebody_else_is_used_and_never_given_back(home: Home) -> None:
    made = FakeRouter()
    made.foreign = {443}
    home(made)
    record = await map_ports(WANTED)
    assert [mapping.own for mapping in record.mappings] == [True, False]
    made.mapped["tcp", 443] = 0
    await unmap_ports(record)
    assert list(made.mapped) == [("tcp", 443)]


async def test_what_a_router_keeps_is_told(home: Home) -> None:
    made = FakeRouter()
    home(made)
    record = await map_ports(WANTED)
    made.refuses = lambda port: RouterError("it does not allow it") if port == -443 else None
    with pytest.raises(MachineError, match=r"keeps 443/tcp \(it does not allow it\)") as failed:
        await unmap_ports(record)
    assert failed.value.hints == ("they end by themselves",)
    assert list(made.mapped) == [("tcp", 443)]


ROUTES = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	FE01A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	0101A8C0	0003	0	0	100	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	50	00000000	0	0	0
eth0	0001A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
"""


def test_the_gateway_is_that_of_the_best_default_route() -> None:
    assert read_gateway(ROUTES) == "192.168.1.1"
    assert read_gateway(ROUTES.splitlines()[0]) is None
    assert read_gateway("") is None
