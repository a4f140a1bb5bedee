"""`lkhub render firewall`."""

from lkhub.firewall.table import firewall_table
from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.render.firewall.all import FORMS, render_firewall
from lkhub.render.targets.target import Forms, Given, Target


def _render(plan: Plan, given: Given, form: str | None) -> tuple[RenderedFile, ...]:
    table = firewall_table(plan, given.interfaces)
    return FORMS[form](table) if form else render_firewall(table)


FIREWALL = Target(
    "firewall",
    "the ports to open, in forms that firewalls read.",
    _render,
    Forms("--format", tuple(FORMS), first="text"),
)
