"""The objects of a hub in Kubernetes, as text: with the values of this spec, or with expressions of a Helm template."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from string import Template

from lkhub.plan.container import CONTAINED, SECRETS, UID
from lkhub.plan.service import FOLDER
from lkhub.render.targets.kubernetes.pod import UNPRIVILEGED_PORT, Pod, Port
from lkhub.render.targets.systemd import START_SECONDS

NAME = "lkhub"
"""The name of every object, and of the namespace: a namespace has one hub."""

SECRET = "lkhub-secrets"  # noqa: S105
TLS_SECRET = "lkhub-tls"  # noqa: S105
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


def render_namespace(pod: Pod) -> str:
    """The namespace, with the label by which Pod Security lets this pod in."""
    if not (exceptions := list_exceptions(pod)):
        return NAMESPACE.substitute(level="restricted", why="# This pod needs no exception.\n")
    why = "".join(
        textwrap.fill(each, 110, initial_indent="# - ", subsequent_indent="#   ") + "\n" for each in exceptions
    )
    return NAMESPACE.substitute(level="privileged", why=f"{EXCEPTIONS}{why}")


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
        f"              - {{key: {json.dumps(file.key)}, path: {json.dumps(file.name)}}}\n" for file in pod.files
    )
    return f"{SECRET_VOLUME}{items}"


LABELS = """\
  labels:
    app.kubernetes.io/name: lkhub
"""

EXCEPTIONS = """\
# No level of Pod Security but privileged allows hostNetwork. It lets in whatever is created here, so this namespace is
# for the hub alone. The level restricted would refuse nothing of the pod but this:
"""

NAMESPACE = Template("""\
${why}apiVersion: v1
kind: Namespace
metadata:
  name: lkhub
  labels:
    pod-security.kubernetes.io/enforce: $level
""")

CONFIG_MAP = Template(f"""\
# The spec. When it has changed here, the file $folder/hub.yaml follows within two minutes. README.md has the command
# with which the running hub takes it over.
apiVersion: v1
kind: ConfigMap
metadata:
  name: lkhub
{LABELS}data:
$data""")

HEADLESS = f"""\
# Clients use the node's own address and ports. This Service gives the pod its name in the cluster.
apiVersion: v1
kind: Service
metadata:
  name: lkhub
{LABELS}spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    app.kubernetes.io/name: lkhub
"""

BALANCER = Template(f"""\
# UDP and TCP behind one address. The provider of the balancer has to support both in one Service; not all do.
apiVersion: v1
kind: Service
metadata:
  name: lkhub
{LABELS}spec:
  type: LoadBalancer
  # Packets keep the client's address, and are not sent over another node.
  externalTrafficPolicy: Local
  # A pod that is not ready keeps its traffic: calls go on while the probe fails, and an authority that proves the hub's
  # name connects before the hub has its certificate.
  publishNotReadyAddresses: true
  selector:
    app.kubernetes.io/name: lkhub
  ports:
$ports""")

DISRUPTION_BUDGET = f"""\
# `kubectl drain` of the node waits until the pod is deleted by hand (README.md): the calls of a hub can't move. A hub
# whose media does not answer carries no calls, and may be evicted.
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: lkhub
{LABELS}spec:
  maxUnavailable: 0
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      app.kubernetes.io/name: lkhub
"""

NODE_POLICY = """\
# Most network plug-ins apply no policy to a pod in the node's network, since it has the node's address. Then the node's
# firewall decides (`lkhub render firewall`). Where the policy is applied, nothing but these ports is open.
"""

POLICY = Template(f"""\
${{note}}apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: lkhub
{LABELS}spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: lkhub
  # What the hub sends is not restricted: media goes to whatever address a client has.
  policyTypes: [Ingress]
  ingress:
    - ports:
$ports""")

HOST_NETWORK = """\
      # Media needs the node's address and ports: clients are told both.
      hostNetwork: true
      # The cluster's names are known here too, such as that of a database.
      dnsPolicy: ClusterFirstWithHostNet
      # The node that the hub's name, or its address, leads to (README.md).
      nodeSelector:
        lkhub: here
"""

SYSCTLS = """\
        # Every user of this pod's own network may listen on its ports.
        sysctls:
          - {name: net.ipv4.ip_unprivileged_port_start, value: "0"}
"""

ORDINARY_USER = Template("""\
        runAsNonRoot: true
        runAsUser: $uid
        runAsGroup: $uid
""")

ROOT_USER = Template("""\
        # On a node, ports below 1024 ($low) are root's, and no other user is given a capability. So the container
        # starts as root with four capabilities. The image's `lkhub` becomes the user $uid before it does anything, and
        # keeps NET_BIND_SERVICE alone. For a spec without such ports, the rendered pod has no root.
        runAsUser: 0
        runAsGroup: 0
""")

CAPABILITIES = """\
              drop: [ALL]
"""

ROOT_CAPABILITIES = """\
              drop: [ALL]
              add: [NET_BIND_SERVICE, SETGID, SETPCAP, SETUID]
"""

CERTIFICATE = Template(f"""\
              - secret:
                  name: {TLS_SECRET}
                  items:
                    - {{key: tls.crt, path: $certificate}}
                    - {{key: tls.key, path: $key}}
""")

SECRET_VOLUME = f"""\
        - name: secrets
          secret:
            secretName: {SECRET}
            defaultMode: 288 # 0440
            items:
"""

STATEFUL_SET = Template(f"""\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: $name
{LABELS}spec:
  serviceName: $name
  replicas: 1
  # A changed pod is taken over when the old one is deleted (README.md), so that `kubectl apply` ends no call.
  updateStrategy:
    type: OnDelete
  selector:
    matchLabels:
      app.kubernetes.io/name: lkhub
  template:
    metadata:
      labels:
        app.kubernetes.io/name: lkhub
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
$network      # The hub waits for calls as long as the spec's drain says, $drain, and then ends its processes.
      terminationGracePeriodSeconds: $grace
      securityContext:
$user        # Volumes and secrets are for this group. Files that are there already are left as they are.
        fsGroup: $uid
        fsGroupChangePolicy: OnRootMismatch
$sysctls        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: hub
          image: $image
          args: [up]
          env:
            - {{name: LKHUB_STATE, value: $state}}
$variables          ports:
$ports          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
$capabilities          # No limits: one of CPU time would interrupt every call, and one of memory would end them all.
          resources:
            requests:
              cpu: 250m
              memory: 256Mi
          # The hub is ready when media answers. What its verification found is in the log and in `lkhub status`, and
          # ends no pod and no call.
          startupProbe:
            exec:
              command: [$python, -c, $ask_media]
            periodSeconds: $startup_period
            failureThreshold: $startup_failures
            timeoutSeconds: $timeout
          readinessProbe:
            exec:
              command: [$python, -c, $ask_media]
            periodSeconds: $ready_period
            timeoutSeconds: $timeout
          # The supervisor starts again what ends. One that hangs can't, and is ended here; but calls go on without it,
          # and end with it. So it is given five minutes.
          livenessProbe:
            exec:
              command: [$as_hub$python, -c, $ask_supervisor]
            periodSeconds: $hung_period
            failureThreshold: $hung_failures
            timeoutSeconds: $timeout
            # A supervisor that hangs can't wait for calls.
            terminationGracePeriodSeconds: $hung_grace
          volumeMounts:
            - {{name: spec, mountPath: $folder, readOnly: true}}
            - {{name: state, mountPath: $volume}}
            - {{name: tmp, mountPath: /tmp}}
$mounts      volumes:
        - name: spec
          projected:
            defaultMode: 288 # 0440
            sources:
              - configMap:
                  name: lkhub
$certificate        - name: tmp
          emptyDir: {{sizeLimit: 64Mi}}
$secrets  volumeClaimTemplates:
    - metadata:
        name: state
      spec:
        accessModes: [ReadWriteOnce]
${{storage_class}}        resources:
          requests:
            storage: $size
""")
