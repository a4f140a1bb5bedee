"""The content of serve.json. Apart from the renderer, because the service needs no plan to read it."""

from dataclasses import dataclass
from typing import Literal

from lkhub.source.json_text import parse_json

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
    bind: list[str]
    port: int
    hosts: list[str]
    open_tokens: bool
    livekit_url: str
    media_url: str
    keys: str
    authorities: list[str]
    ca: str
    askers: str = ""


def parse_serve(text: str) -> ServeConfig:
    """The inverse of `lkhub.render.serve.render_serve`."""
    return ServeConfig(**parse_json(text))
