"""The content of serve.json. It is not in lkhub.render, because the service reads it and needs no plan."""

from dataclasses import dataclass, field
from typing import Literal

from lkhub.source.json_text import parse_finite_json
from lkhub.source.typed import unpack
from lkhub.wire.application import Application
from lkhub.wire.message import dump_message

# The edge sets this header for the service: `yes` if a proxy in front has told it the client's address, otherwise `no`.
FORWARDED_HEADER = "X-Lkhub-Forwarded"


@dataclass(frozen=True)
class ServeConfig:
    """What the service must know. `bind` and `hosts` are addresses and names without a port. `authorities` are the
    values of the Host header in requests through the edge. `open_tokens`: every program on this machine gets tokens
    from the token endpoint. `media_url` is media's HTTP address on loopback. `application` is what the service does for
    applications.

    `keys`, `ca` and `askers` are paths of files: the API keys; the root certificate that devices have to trust, or "";
    the record of the program that last asked for a token, "" without `open_tokens`; the record of what the receivers
    of webhooks take, "" without receivers; the record of an OpenID provider that can't be used, "" without one; the
    record of a store that can't be used, "" on a hub that keeps nothing."""

    name: str
    reach: Literal["local", "lan", "public"]
    bind: tuple[str, ...]
    port: int
    hosts: tuple[str, ...]
    open_tokens: bool
    livekit_url: str
    media_url: str
    keys: str
    authorities: tuple[str, ...]
    ca: str
    askers: str = ""
    webhooks: str = ""
    openid: str = ""
    store: str = ""
    application: Application = field(default_factory=Application)


def dump_serve(config: ServeConfig) -> str:
    return dump_message(config, indent=2)


def parse_serve(text: str) -> ServeConfig:
    """The inverse of `dump_serve`. Raises ValueError. Messages of another version are read as well as they can be: a
    service that is updated while the hub runs must start again with the file that is there."""
    return unpack(ServeConfig, parse_finite_json(text))
