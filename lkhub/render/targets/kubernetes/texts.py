"""The texts of a hub's objects in Kubernetes, with places for what differs."""

from string import Template

SECRET = "lkhub-secrets"  # noqa: S105
TLS_SECRET = "lkhub-tls"  # noqa: S105

LABELS = """\
  labels:
    app.kubernetes.io/name: lkhub
"""

EXCEPTIONS = """\
# No level of Pod Security but privileged allows hostNetwork. It lets in whatever is created here, so this namespace is
# for the hub alone. The level restricted would refuse nothing of the pod but this:
"""

NAMESPACE_OBJECT = Template("""\
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
            - {{name: $agents_variable, value: $agents}}
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
