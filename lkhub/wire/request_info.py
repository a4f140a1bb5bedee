"""How a request reached the service: the service's answer at REQUEST_INFO, for strangers too."""

from dataclasses import dataclass

from lkhub.source.json_text import parse_json
from lkhub.source.typed import unpack

REQUEST_INFO = "/api/request-info"


@dataclass(frozen=True)
class RequestInfo:
    """How a request came to the hub. `instance` is the process that answers: two addresses that give the same one lead
    to the same hub. `client` is the address from which the hub takes the request to come. `forwarded` says whether a
    proxy told that address, and is null where no proxy is expected."""

    instance: str
    client: str
    forwarded: bool | None


def find_request_info(body: str) -> RequestInfo | None:
    """What a server answers at REQUEST_INFO; None if it is no hub."""
    try:
        return unpack(RequestInfo, parse_json(body))
    except ValueError:
        return None
