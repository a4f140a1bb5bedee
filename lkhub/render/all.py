"""Every file that the processes of a plan read."""

from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.render.livekit import render_livekit
from lkhub.render.relay import render_relay
from lkhub.render.serve import render_serve


def render_all(plan: Plan) -> tuple[RenderedFile, ...]:
    """The files of `plan.paths.rendered`."""
    files = [render_livekit(plan), render_serve(plan)]
    if plan.relay:
        files.append(render_relay(plan, plan.relay))
    return tuple(files)
