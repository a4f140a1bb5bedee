"""Who may ask for a token."""

from ipaddress import ip_address

from starlette.requests import Request

from lkhub.service.errors import ApiError
from lkhub.service.guard import is_direct, require_own_page


def is_local(request: Request) -> bool:
    """Whether the request came over loopback, to the loopback listener, through no proxy.

    The address at which a connection arrived (`server`) is better evidence than the address it came from.
    """
    ends = (request.client.host if request.client else "", request.scope["server"][0])
    return is_direct(request.headers) and all(_is_loopback(end) for end in ends)


def require_open_tokens(request: Request, open_tokens: bool) -> None:
    """Refuse a token request unless this hub gives tokens to programs of this machine, and the request is from one."""
    require_own_page(request.headers)
    if not (open_tokens and is_local(request)):
        raise ApiError(403, "this hub gives no tokens here", "ask its operator for a join link: `lkhub token --link`")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
