"""The address by which a browser knows the hub."""

from dataclasses import dataclass

from starlette.requests import Request

from lkhub.wire.serve_config import ServeConfig


@dataclass(frozen=True)
class OwnOrigin:
    """`url` has scheme, host and port. `secure`: there is TLS between the browser and the hub."""

    url: str
    secure: bool


def find_own_origin(request: Request, config: ServeConfig) -> OwnOrigin:
    """The origin of the page that sent this request. TLS ends at the edge, or at a proxy in front of it: what came
    through them names the hub by one of `authorities`."""
    host = request.headers.get("host", "").lower()
    secure = host in config.authorities
    return OwnOrigin(f"{'https' if secure else 'http'}://{host}", secure)


def is_own_page(request: Request) -> bool:
    """Whether a page of the hub itself sent this, or a program that is no page. Another origin may be of the same site,
    whose pages a browser gives the hub's cookies."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "").lower()
    return origin is None or origin.lower() in (f"http://{host}", f"https://{host}")


def find_livekit(request: Request, config: ServeConfig) -> str:
    """The URL at which the client finds LiveKit. Through the edge this is the page's own origin, with the name that
    the client used: a hub with several LANs has an address in each."""
    host = request.headers.get("host", "").lower()
    return f"wss://{host}" if host in config.authorities else config.livekit_url
