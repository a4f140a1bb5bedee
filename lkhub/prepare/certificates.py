"""What `prepare` does for the hub's certificate, by mode: judge the operator's files, make the hub's own authority.

Both need the `cryptography` library (35 ms, 10 MB), which no other mode has to pay for.
"""

import time
from dataclasses import replace

from lkhub.findings.catalogue.choices import root_new
from lkhub.findings.finding import Finding
from lkhub.plan.model import Plan
from lkhub.spec.load import LoadedSpec
from lkhub.state.root_change import RootChange, dump_root_change


def judge_files(loaded: LoadedSpec, plan: Plan) -> Plan:
    """The plan with warnings about the operator's certificate; what can't work is a fault of `loaded`."""
    edge = plan.edge
    if edge is None or not edge.tls.cert or not edge.tls.key:
        return plan
    # Imported here: it loads cryptography (20 ms, 10 MiB), which other modes of TLS do without.
    from lkhub.host.certificates import judge_certificate

    warnings: list[Finding] = []
    for found in judge_certificate(edge.tls.cert, edge.tls.key, edge.certified_names):
        if found.severity == "error":
            loaded.place(tuple(found.subject.split(".")), found)
        else:
            warnings.append(found)
    return replace(plan, findings=(*plan.findings, *warnings))


def establish_authority(plan: Plan) -> tuple[Plan, dict[str, str]]:
    """The plan with its own authority, and that authority's files: path → text."""
    edge = plan.edge
    if edge is None or edge.tls.mode != "internal":
        return plan, {}
    # Imported here: it loads cryptography (20 ms, 10 MiB), which other modes of TLS do without.
    from lkhub.host.ca import choose_ca

    root = choose_ca(plan.paths, plan.name, edge.served_names)
    findings, files = plan.findings, dict(root.files)
    if root.reason:
        files[plan.paths.root_change] = dump_root_change(RootChange(time.time(), root.reason))
        findings += (root_new(root.created, root.reason).about("root"),)
    return replace(plan, edge=replace(edge, authority=root.authority), findings=findings), files
