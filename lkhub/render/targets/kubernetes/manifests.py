"""The objects of a hub in Kubernetes, as text: with the values of this spec, or with expressions of a Helm template."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from lkhub.plan.container import CONTAINED, NAMESPACE, SECRETS, UID
from lkhub.plan.installation import AGENTS_VARIABLE
from lkhub.plan.service import FOLDER
from lkhub.render.targets.kubernetes.agents import render_agents
from lkhub.render.targets.kubernetes.pod import UNPRIVILEGED_PORT, Pod, Port
from lkhub.render.targets.kubernetes.texts import (
    BALANCER,
    CAPABILITIES,
    CERTIFICATE,
    CONFIG_MAP,
    DISRUPTION_BUDGET,
    EXCEPTIONS,
    HEADLESS,
    HOST_NETWORK,
    NAMESPACE_OBJECT,
    NODE_POLICY,
    ORDINARY_USER,
    POLICY,
    ROOT_CAPABILITIES,
    ROOT_USER,
    SECRET,
    SECRET_VOLUME,
    STATEFUL_SET,
    SYSCTLS,
)
from lkhub.render.targets.systemd import START_SECONDS

NAME = NAMESPACE
"""The name of the hub's objects, and of the namespace: a namespace has one hub."""

SPEC_KEY = "hub.yaml"

# The volume of the state. A new one is root's, and may have lost+found in it: the hub makes a folder of its own there.
VOLUME = CONTAINED.state
STATE = f"{VOLUME}/hub"

STARTUP_PERIOD_SECONDS = 2
READY_PERIOD_SECONDS = 10
# A supervisor that hangs does not end calls, and its end does: in a container it is PID 1.
HUNG_SECONDS = 300
HUNG_PERIOD_SECONDS = 30
# A supervisor that hangs can't drain.
HUNG_GRACE_SECONDS = 5
PROBE_SECONDS = 5


@dataclass(frozen=True)
class Values:
    """What may differ where the rest is the same: texts that stand as they are in the manifests."""

    image: str
    size: str
    storage_class: str
    spec: str


def render_objects(pod: Pod, values: Values) -> Iterator[tuple[str, str]]:
    """The objects that a hub's namespace has, each with the name of its file."""
    yield "configmap.yaml", CONFIG_MAP.substitute(folder=FOLDER, data=values.spec)
    yield "service.yaml", _render_service(pod)
    yield "statefulset.yaml", _render_stateful_set(pod, values)
    yield "poddisruptionbudget.yaml", DISRUPTION_BUDGET
    yield "networkpolicy.yaml", _render_policy(pod)
    yield from render_agents(pod.plan)


def render_namespace(pod: Pod) -> str:
    """The namespace, with the label by which Pod Security lets this pod in."""
    if not (exceptions := list_exceptions(pod)):
        return NAMESPACE_OBJECT.substitute(level="restricted", why="# This pod needs no exception.\n")
    why = "".join(
        textwrap.fill(each, 110, initial_indent="# - ", subsequent_indent="#   ") + "\n" for each in exceptions
    )
    return NAMESPACE_OBJECT.substitute(level="privileged", why=f"{EXCEPTIONS}{why}")


def list_exceptions(pod: Pod) -> tuple[str, ...]:
    """What the level restricted of Pod Security refuses of this pod, and why the pod has it."""
    if pod.network == "load-balancer":
        return ()
    network = "hostNetwork, and the hostPorts that follow from it: clients are told the node's address and ports"
    if not pod.starts_as_root:
        return (network,)
    return (
        network,
        f"runAsUser 0, and the capabilities SETGID, SETPCAP and SETUID: on a node, ports below {UNPRIVILEGED_PORT} are "
        f"root's, and with these the container becomes the user {UID}",
    )


def _render_service(pod: Pod) -> str:
    if pod.network == "host-network":
        return HEADLESS
    ports = "".join(
        f"    - {{name: {port.name}, protocol: {port.protocol.upper()}, port: {port.ports.start}, "
        f"targetPort: {port.name}}} # {port.purpose}\n"
        for port in pod.ports
    )
    return BALANCER.substitute(ports=ports)


def _render_policy(pod: Pod) -> str:
    ports = ""
    for port in pod.ports:
        if port.open:
            end = f", endPort: {port.ports.end}" if port.ports.start != port.ports.end else ""
            ports += (
                f"        - {{protocol: {port.protocol.upper()}, port: {port.ports.start}{end}}} # {port.purpose}\n"
            )
    note = NODE_POLICY if pod.network == "host-network" else ""
    return POLICY.substitute(note=note, ports=ports)


def _render_stateful_set(pod: Pod, values: Values) -> str:
    installation = pod.plan.installation
    ask_media = (
        f"import urllib.request as r; r.urlopen('{pod.plan.urls.local_serve}/api/health', timeout={PROBE_SECONDS - 1})"
    )
    ask_supervisor = (
        f"import socket as s; c = s.socket(s.AF_UNIX); c.settimeout({PROBE_SECONDS - 1}); "
        f"c.connect('{pod.plan.paths.control}'); c.sendall(b'GET /ping HTTP/1.0\\r\\n\\r\\n'); "
        "assert b' 200 ' in c.recv(64)"
    )
    return STATEFUL_SET.substitute(
        name=NAME,
        uid=UID,
        network=HOST_NETWORK if pod.network == "host-network" else "",
        user=_render_user(pod),
        sysctls=SYSCTLS if pod.network == "load-balancer" else "",
        capabilities=ROOT_CAPABILITIES if pod.starts_as_root else CAPABILITIES,
        drain=pod.plan.drain,
        grace=pod.grace_seconds,
        image=values.image,
        size=values.size,
        storage_class=values.storage_class,
        python=json.dumps(installation.python),
        # A probe is the container's first user, and the control socket is the hub's.
        as_hub=f"setpriv, --reuid={UID}, --regid={UID}, --clear-groups, " if pod.starts_as_root else "",
        ask_media=json.dumps(ask_media),
        ask_supervisor=json.dumps(ask_supervisor),
        folder=FOLDER,
        state=installation.state,
        volume=VOLUME,
        agents_variable=AGENTS_VARIABLE,
        agents=installation.agents,
        variables="".join(_render_variables(pod)),
        ports="".join(_render_port(port) for port in pod.ports if port.ports.start == port.ports.end),
        mounts=f"            - {{name: secrets, mountPath: {SECRETS}, readOnly: true}}\n" if pod.files else "",
        certificate=_render_certificate(pod),
        secrets=_render_secrets(pod),
        startup_period=STARTUP_PERIOD_SECONDS,
        startup_failures=START_SECONDS // STARTUP_PERIOD_SECONDS,
        ready_period=READY_PERIOD_SECONDS,
        hung_period=HUNG_PERIOD_SECONDS,
        hung_failures=HUNG_SECONDS // HUNG_PERIOD_SECONDS,
        hung_grace=HUNG_GRACE_SECONDS,
        timeout=PROBE_SECONDS,
    )


def _render_user(pod: Pod) -> str:
    if pod.starts_as_root:
        low = ", ".join(str(port.ports) for port in pod.ports if port.ports.start < UNPRIVILEGED_PORT)
        return ROOT_USER.substitute(uid=UID, low=low)
    return ORDINARY_USER.substitute(uid=UID)


def _render_port(port: Port) -> str:
    return (
        f"            - {{name: {port.name}, protocol: {port.protocol.upper()}, containerPort: {port.ports.start}}}"
        f" # {port.purpose}\n"
    )


def _render_variables(pod: Pod) -> Iterator[str]:
    for name in pod.variables:
        key = json.dumps(name)
        yield f"            - {{name: {key}, valueFrom: {{secretKeyRef: {{name: {SECRET}, key: {key}}}}}}}\n"


def _render_certificate(pod: Pod) -> str:
    if pod.certificate is None:
        return ""
    certificate, key = map(json.dumps, pod.certificate)
    return CERTIFICATE.substitute(certificate=certificate, key=key)


def _render_secrets(pod: Pod) -> str:
    if not pod.files:
        return ""
    items = "".join(
        f"              - {{key: {json.dumps(file.name)}, path: {json.dumps(file.name)}}}\n" for file in pod.files
    )
    return f"{SECRET_VOLUME}{items}"
