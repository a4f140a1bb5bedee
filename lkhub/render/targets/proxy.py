"""`lkhub render proxy`."""

from lkhub.errors import InputError
from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.render.proxy.all import PROXIES, render_proxy
from lkhub.render.targets.target import Forms, Given, Target


def _render(plan: Plan, _: Given, name: str | None) -> tuple[RenderedFile, ...]:
    if plan.edge is None or plan.edge.tls.mode != "external":
        mode = plan.edge.tls.mode if plan.edge else "off"
        raise InputError(
            f"this hub has tls.mode {mode}, and is not behind a proxy", hints=("write tls.mode: external in the spec",)
        )
    return render_proxy(plan, plan.edge, [name] if name else PROXIES)


PROXY = Target(
    "proxy",
    "what goes into the configuration of a proxy in front of the hub.",
    _render,
    Forms("--for", tuple(PROXIES)),
)
