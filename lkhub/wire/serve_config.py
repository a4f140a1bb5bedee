"""The content of serve.json. Apart from the renderer, because the service needs no plan to read it."""

from dataclasses import dataclass
from typing import Literal

from lkhub.wire.message import dump_message, parse_message

# By this header the edge tells the service whether a proxy in front said where the client is: `yes` or `no`.
FORWARDED_HEADER = "X-Lkhub-Forwarded"


@dataclass(frozen=True)
class ServeConfig:
    """What the service must know. `bind` and `hosts` are addresses and names without a port; `authorities` is what
    requests through the edge name as their host; `open_tokens`: the token endpoint answers whoever is on loopback;
    `media_url` is media's HTTP on loopback, `keys` the path of the key file, `ca` that of the root certificate which
    devices have to trust, "" where there is none; `askers` that of the file that says which program asked
    last for a token, "" without `open_tokens`."""

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


def dump_serve(config: ServeConfig) -> str:
    return dump_message(config, indent=2)


def parse_serve(text: str) -> ServeConfig:
    """The inverse of `dump_serve`. Raises ValueError."""
    return parse_message(ServeConfig, text)
