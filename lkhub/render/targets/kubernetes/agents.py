"""The objects of agents in Kubernetes: a Deployment for each, in a network of its own, and the Secret that it reads."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from string import Template

from lkhub.plan.container import NAMESPACE, name_deployment
from lkhub.plan.model import AgentPlan, Plan
from lkhub.plan.service import limit_stop

_LABELS = Template("""\
    app.kubernetes.io/name: $name
    app.kubernetes.io/component: agent
    app.kubernetes.io/part-of: $hub
""")

# A worker registers within 3 s, and within 30 s on a busy machine (measured).
REGISTERING_SECONDS = 30

_DEPLOYMENT = Template("""\
# The agent $agent. It is a client of the hub, and finds it as others do, by what is in the Secret $name (README.md).
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $name
  labels:
${labels}spec:
  replicas: $replicas
  # The new worker is given the time to register before the old one is told to end, which finishes its calls.
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  minReadySeconds: $registering
  selector:
    matchLabels:
      app.kubernetes.io/name: $name
  template:
    metadata:
      labels:
        app.kubernetes.io/name: $name
        app.kubernetes.io/component: agent
        app.kubernetes.io/part-of: $hub
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      # A worker that is told to end finishes its calls, for as long as the spec's drain says, $drain.
      terminationGracePeriodSeconds: $grace
      securityContext:
        # The image has to name its user, by a number.
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: agent
          image: $image
${args}          envFrom:
            - secretRef:
                name: $name
          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: [ALL]
          resources:
            requests:
              cpu: 250m
              memory: 512Mi
""")

_POLICY = Template("""\
# Nothing connects to an agent. What it sends is not restricted: it calls the hub, and the services of its own code.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: $hub-agents
  labels:
    app.kubernetes.io/part-of: $hub
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/component: agent
      app.kubernetes.io/part-of: $hub
  policyTypes: [Ingress]
""")


def render_agents(plan: Plan) -> Iterator[tuple[str, str]]:
    """The objects of the agents of a hub, each with the name of its file."""
    for agent in plan.agents:
        yield f"agent-{agent.name}.yaml", _render_deployment(plan, agent)
    if plan.agents:
        yield "agents-networkpolicy.yaml", _POLICY.substitute(hub=NAMESPACE)


def _render_deployment(plan: Plan, agent: AgentPlan) -> str:
    name = name_deployment(agent.name)
    return _DEPLOYMENT.substitute(
        agent=agent.name,
        name=name,
        hub=NAMESPACE,
        labels=_LABELS.substitute(name=name, hub=NAMESPACE),
        replicas=len(agent.processes),
        registering=REGISTERING_SECONDS,
        drain=plan.drain,
        grace=limit_stop(plan.drain),
        image=json.dumps(agent.image),
        args=_render_command(agent),
    )


def _render_command(agent: AgentPlan) -> str:
    # As Docker's, it takes the place of the image's command, and leaves its entrypoint. `$(NAME)` would be a variable.
    words = [word.replace("$(", "$$(") for word in agent.command]
    return f"          args: {json.dumps(words, ensure_ascii=False)}\n" if words else ""


def render_secret(agent: str, variables: Mapping[str, str]) -> str:
    """The Secret that the Deployment of an agent reads."""
    data = {name: b64encode(value.encode()).decode() for name, value in variables.items()}
    labels = {"app.kubernetes.io/part-of": NAMESPACE}
    metadata = {"name": name_deployment(agent), "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}, indent=2)
