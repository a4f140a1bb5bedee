"""`lkhub render caddy`."""

from lkhub.errors import InputError
from lkhub.plan.model import Plan
from lkhub.render.caddy import render_caddy
from lkhub.render.files import RenderedFile
from lkhub.render.targets.target import Given, Target


def _render(plan: Plan, _: Given, __: str | None) -> tuple[RenderedFile, ...]:
    if plan.edge is None:
        raise InputError(
            "this hub has tls.mode off, and no edge that would read a caddy.json",
            hints=("write tls.mode: internal, acme, files, tailscale or external in the spec",),
        )
    return (render_caddy(plan, plan.edge),)


CADDY = Target("caddy", "caddy.json of the edge, which ends TLS.", _render, judges_keys=True)
