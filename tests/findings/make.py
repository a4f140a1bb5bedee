"""Findings and faults for tests in which their content does not matter."""

from lkhub.findings.catalogue.choices import no_tls
from lkhub.findings.catalogue.spec import value_wrong
from lkhub.findings.catalogue.tailnet import tailscale_no_daemon
from lkhub.findings.fault import Fault, make_fault
from lkhub.findings.finding import Finding, Fix, Where
from lkhub.plan.model import Plan

NO_TAILSCALED = tailscale_no_daemon("tailscaled is not running").about("tls.mode", fix=(Fix("start it"),))
NO_TLS = no_tls(8080).about("tls.mode")


def fault(file: str, line: int | None, key: str, problem: str, hint: str = "") -> Fault:
    return make_fault(value_wrong(problem), Where(file, line, key), hint)


def note(text: str) -> Finding:
    return Finding("address-chosen", "192.168.1.5", "info", text, "", "", ())


def titles(plan: Plan) -> list[str]:
    """A note about a choice of a plan."""
    return [finding.title for finding in plan.findings]
