"""serve.json, read by `lkhub serve`."""

import json
from dataclasses import asdict, dataclass

from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile


@dataclass(frozen=True)
class ServeConfig:
    """What the service must know. `bind` and `hosts` are addresses and names without a port;
    `open_tokens`: the token endpoint answers whoever is on loopback; `media_url` is media's HTTP on loopback,
    `keys` the path of the key file."""

    name: str
    reach: str
    bind: list[str]
    port: int
    hosts: list[str]
    open_tokens: bool
    livekit_url: str
    media_url: str
    keys: str


def render_serve(plan: Plan) -> RenderedFile:
    """The service's configuration."""
    serve = plan.serve
    config = ServeConfig(
        name=plan.name,
        reach=plan.reach,
        bind=[str(address) for address in serve.bind],
        port=serve.port,
        hosts=list(serve.hosts),
        open_tokens=serve.open_tokens,
        livekit_url=plan.urls.livekit,
        media_url=plan.urls.local_media,
        keys=plan.paths.keys,
    )
    return RenderedFile("serve.json", json.dumps(asdict(config), indent=2) + "\n")


def parse_serve(text: str) -> ServeConfig:
    """The inverse of `render_serve`."""
    return ServeConfig(**json.loads(text))
