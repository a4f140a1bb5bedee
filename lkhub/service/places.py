"""Connections counted, so that no client takes all: the rule of engine/internal/connlimit. Pure."""

from collections import Counter
from ipaddress import ip_address, ip_network

# Descriptors that the service reserves for files, its log, and connections that are being refused.
_RESERVED = 256

# The client's connection, and the file that is sent to it.
_FILES_EACH = 2


class Places:
    """`total` places, of which one client has at most `most`.

    A client gets another place if it holds fewer places than are still free: a single client gets half of all, and
    there is always a place left for another client. The same holds for all clients of an IPv6 site together. Loopback,
    from where the edge connects, speaks for many clients and gets every free place.
    """

    def __init__(self, total: int, most: int) -> None:
        self._total = total
        self._most = most
        self._held = Counter[str]()
        self._sites = Counter[str]()

    def enter(self, client: str) -> bool:
        """Take a place for a client. Returns whether it got one."""
        free = self._total - self._held.total()
        site = _site_of(client)
        if free <= 0 or (not _speaks_for_many(client) and self._held[client] >= min(self._most, free)):
            return False
        if site and self._sites[site] >= free:
            return False
        self._held[client] += 1
        if site:
            self._sites[site] += 1
        return True

    def leave(self, client: str) -> None:
        """Give a place back."""
        _release(self._held, client)
        if site := _site_of(client):
            _release(self._sites, site)

    def held(self, client: str) -> int:
        """How many a client has."""
        return self._held[client]


def client_of(address: str) -> str:
    """The client that an address is counted for: the address itself, or the /64 of an IPv6 address, since a subscriber
    is given one."""
    plain = ip_address(address.partition("%")[0])
    mapped = getattr(plain, "ipv4_mapped", None) or plain
    return str(mapped) if mapped.version == 4 or mapped.is_loopback else str(ip_network((mapped, 64), strict=False))


def _site_of(client: str) -> str:
    """The /48 of a client that is a network of IPv6: the most that one home or office is given (RFC 6177). An IPv4
    address belongs to no site: ""."""
    return str(ip_network(client).supernet(new_prefix=48)) if "/" in client else ""


def _release(held: Counter[str], of: str) -> None:
    held[of] -= 1
    if not held[of]:
        del held[of]


def files_for(places: int) -> int:
    """How many open files so many places need."""
    return places * _FILES_EACH + _RESERVED


def places_for(files: int, most: int) -> int:
    """How many places, at most `most`, this limit of open files carries."""
    return max(1, min(most, (files - _kept(files)) // _FILES_EACH))


def burst_for(files: int) -> int:
    """How many connections may be open before they are checked: they use the reserved descriptors."""
    return max(1, _kept(files) // 2)


def _kept(files: int) -> int:
    return min(_RESERVED, files // 4)


def _speaks_for_many(client: str) -> bool:
    return "/" not in client and ip_address(client).is_loopback
