"""Every file that the processes of a plan read."""

from collections.abc import Mapping
from types import MappingProxyType

from lkhub.plan.model import Plan
from lkhub.render.agents import render_agents
from lkhub.render.caddy import render_caddy
from lkhub.render.files import RenderedFile
from lkhub.render.livekit import render_livekit, render_second_livekit
from lkhub.render.relay import render_relay
from lkhub.render.serve import render_serve
from lkhub.render.site_build import render_site_build
from lkhub.secret import Secret
from lkhub.source.path import Path


def render_all(
    plan: Plan, secrets: Mapping[Path, Secret] = MappingProxyType({}), key: str = "***"
) -> tuple[RenderedFile, ...]:
    """The files of `plan.paths.rendered`. `secrets` and `key`: see `render_livekit`."""
    files = [render_livekit(plan, secrets, key), render_serve(plan)]
    if plan.spare:
        files.append(render_second_livekit(plan, secrets, key))
    if plan.relay and plan.relay.udp:
        files.append(render_relay(plan, plan.relay))
    if plan.edge:
        files.append(render_caddy(plan, plan.edge))
        files += [render_site_build(site.build) for site in plan.edge.sites if site.build]
    return (*files, *render_agents(plan))
