"""Mode `open`: tokens without proof, for programs on this machine or for everyone."""

from ipaddress import ip_address

from starlette.requests import Request

from lkhub.service.access.caller import Caller
from lkhub.service.guard import is_direct


def is_local(request: Request) -> bool:
    """Whether the request came over loopback, to the loopback listener, through no proxy.

    The address at which a connection arrived (`server`) is better evidence than the address it came from.
    """
    ends = (request.client.host if request.client else "", request.scope["server"][0])
    return is_direct(request.headers) and all(_is_loopback(end) for end in ends)


class OpenMode:
    """Everyone is a caller, or with `local` every program on this machine."""

    def __init__(self, *, local: bool) -> None:
        self._local = local

    def admits(self, request: Request) -> bool:
        """Whether this request needs no proof."""
        return is_local(request) if self._local else True

    async def identify(self, request: Request) -> Caller | None:
        return Caller(kind="open") if self.admits(request) else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
