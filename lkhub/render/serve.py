"""serve.json, read by `lkhub serve`."""

from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.wire.serve_config import ServeConfig, dump_serve


def render_serve(plan: Plan) -> RenderedFile:
    """The service's configuration."""
    serve = plan.serve
    config = ServeConfig(
        name=plan.name,
        reach=plan.reach,
        bind=tuple(map(str, serve.bind)),
        port=serve.port,
        hosts=serve.hosts,
        open_tokens=serve.open_tokens,
        livekit_url=plan.urls.livekit,
        media_url=plan.urls.local_media,
        keys=plan.paths.keys,
        authorities=serve.authorities,
        ca=plan.paths.ca_root if plan.edge and plan.edge.tls.mode == "internal" else "",
        application=serve.application,
        askers=plan.paths.asker if serve.open_tokens else "",
        openid=plan.paths.openid if serve.application.access.oidc else "",
        store=plan.paths.store_state if serve.application.used else "",
        webhooks=plan.paths.webhooks if serve.application.webhooks else "",
    )
    return RenderedFile("serve.json", dump_serve(config))
