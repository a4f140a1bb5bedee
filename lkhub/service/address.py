"""Where a request came from."""

from ipaddress import ip_address

from starlette.requests import Request

from lkhub.service.places import client_of
from lkhub.wire.serve_config import ServeConfig


def find_address(request: Request, config: ServeConfig) -> str:
    """The client's address. The edge writes it into a header of every request that it forwards; without an edge, the
    header is the client's own claim."""
    client = request.scope.get("client")
    direct: str = client[0] if client else ""
    forwarded = request.headers.get("x-forwarded-for", "") if config.authorities else ""
    return forwarded if forwarded and _is_address(forwarded) else direct


def find_client(request: Request, config: ServeConfig) -> str:
    """The same, as it is counted: an IPv6 address stands for its network of 64 bits."""
    address = find_address(request, config)
    return client_of(address) if _is_address(address) else address


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
