"""serve.json, read by `lkhub serve`."""

import json
from dataclasses import asdict

from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.wire.serve_config import ServeConfig


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
        authorities=list(serve.authorities),
        ca=plan.paths.ca_root if plan.edge and plan.edge.tls.mode == "internal" else "",
        askers=plan.paths.asker if serve.open_tokens else "",
    )
    values = asdict(config)
    if not config.askers:
        del values["askers"]
    return RenderedFile("serve.json", json.dumps(values, indent=2) + "\n")
