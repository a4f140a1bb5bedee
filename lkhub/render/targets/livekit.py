"""`lkhub render livekit`."""

from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.render.livekit import render_livekit
from lkhub.render.targets.target import Given, Target


def _render(plan: Plan, _: Given, __: str | None) -> tuple[RenderedFile, ...]:
    return (render_livekit(plan),)


LIVEKIT = Target("livekit", "livekit.yaml.", _render, judges_keys=True)
