"""Which addresses a receiver of webhooks may have: those in the spec, and those that its name leads to. Pure.

The service reaches more than the operator of a receiver may: its own machine, the private network, the metadata service
of the cloud. A name that leads there, now or later, must not make the service talk to it.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# Prefixes whose addresses contain an IPv4 address, and where it begins in them, in bits from the right: NAT64 (RFC
# 6052), 6to4 (RFC 3056).
_CARRIERS: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)

# Python 3.11 says that all of these are global. The first leads to the IPv4 addresses that a network has chosen for it
# (RFC 8215); the second is for protocols (RFC 6890), and has the metadata service of a cloud; the last was for private
# networks (RFC 3879), some of which still use it.
_NOT_GLOBAL = (ip_network("64:ff9b:1::/48"), ip_network("192.0.0.0/24"), ip_network("fec0::/10"))

# The addresses of tailnets, among others (RFC 6598); Python says that they are neither private nor global.
_SHARED = ip_network("100.64.0.0/10")


def find_refused(addresses: Iterable[str], *, allow_private: bool) -> str:
    """Why a receiver may not have these addresses, all of which its name leads to; "" where it may."""
    for text in addresses:
        address = _unwrap(ip_address(text.partition("%")[0]))
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            return f"{address} is no address of a receiver"
        if address.is_loopback or _is_private(address):
            if not allow_private:
                where = "this machine" if address.is_loopback else "a private network"
                return f"{address} is in {where}, which takes `allow_private: true`"
        elif not address.is_global or address.is_reserved or any(address in network for network in _NOT_GLOBAL):
            # What begins with zeros is reserved: old forms of IPv6 have an IPv4 address behind them.
            return f"{address} is no address of a receiver"
    return ""


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return address in _SHARED or any(address in network for network in _PRIVATE_V4)
    return address in _PRIVATE_V6


_PRIVATE_V4 = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_PRIVATE_V6 = ip_network("fc00::/7")


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that a packet to this address ends at, where there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    for network, shift in _CARRIERS:
        if address in network:
            return IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    return address
