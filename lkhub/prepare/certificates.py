"""What `prepare` does for the hub's certificate, by mode: judge the operator's files, make the hub's own authority.

Both need the `cryptography` library (35 ms, 10 MB), which no other mode has to pay for.
"""

import json
import time
from dataclasses import replace

from lkhub.plan.model import Plan
from lkhub.spec.load import LoadedSpec


def judge_files(loaded: LoadedSpec, plan: Plan) -> Plan:
    """The plan with warnings about the operator's certificate; what can't work is a fault of `loaded`."""
    edge = plan.edge
    if edge is None or not edge.tls.cert or not edge.tls.key:
        return plan
    from lkhub.host.certificates import judge_certificate

    warnings = plan.warnings
    # Behind a proxy it is for TURN alone; the proxy has one of its own for the rest.
    names = (edge.turn.host,) if edge.tls.mode == "external" and edge.turn else edge.names
    for problem in judge_certificate(edge.tls.cert, edge.tls.key, names):
        if problem.severity == "error":
            loaded.add(("tls", problem.about), problem.message, problem.hint)
        else:
            warnings += (f"{problem.message}; {problem.hint}",)
    return replace(plan, warnings=warnings)


def establish_authority(plan: Plan) -> tuple[Plan, dict[str, str]]:
    """The plan with its own authority, and that authority's files: path → text."""
    edge = plan.edge
    if edge is None or edge.tls.mode != "internal":
        return plan, {}
    from lkhub.host.ca import choose_ca

    root = choose_ca(plan.paths, plan.name, edge.names)
    notes, files = plan.notes, dict(root.files)
    if root.reason:
        files[plan.paths.root_change] = json.dumps({"at": time.time(), "reason": root.reason}) + "\n"
        whose = "a new root" if root.created else "an earlier root again"
        who = "every device has" if root.created else "devices that don't know it have"
        notes += (f"the hub has {whose}, since {root.reason}: {who} to trust it anew (`lkhub trust`)",)
    return replace(plan, edge=replace(edge, authority=root.authority), notes=notes), files
