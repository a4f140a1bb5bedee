"""What an operator types to bring the manifests into a cluster."""

import shlex
from collections.abc import Iterator

from lkhub.plan.container import name_deployment
from lkhub.render.targets.kubernetes.manifests import NAME, list_exceptions
from lkhub.render.targets.kubernetes.pod import Pod
from lkhub.render.targets.kubernetes.texts import SECRET, TLS_SECRET

OWN = "../hub"
"""The operator's folder beside the rendered one, with the name of the image. lkhub writes nothing into it."""


def render_readme(pod: Pod) -> str:
    """README.md beside the manifests."""
    return "\n".join(
        (*_introduce(pod), *_explain_secrets(pod), *_explain_start(pod), *_explain_agents(pod), *_explain_use(pod))
    )


def _introduce(pod: Pod) -> Iterator[str]:
    where = "the network of its node" if pod.network == "host-network" else "a network of its own"
    yield f"# The hub {pod.plan.name} in Kubernetes\n"
    yield f"A pod in {where}, written by `lkhub render kubernetes`.\n"
    yield "The cluster has to find the image of the hub. `lkhub render compose` writes the Dockerfile. Push it to"
    yield f"a registry of yours, and write its name into a file of your own, `{OWN}/kustomization.yaml`. The files"
    yield "here are written anew each time, and that one is not:\n"
    yield f"```yaml\nresources:\n  - ../{pod.network}"
    yield "images:\n  - name: lkhub\n    newName: registry.example.com/lkhub\n```\n"
    yield "```sh\nkubectl apply -f namespace.yaml\n```\n"
    if not (exceptions := list_exceptions(pod)):
        yield "The pod needs no exception from the level `restricted` of Pod Security.\n"
        return
    yield "The namespace has the level `privileged` of Pod Security, since no other allows hostNetwork. The level"
    yield "`restricted` would refuse nothing of the pod but this:\n"
    yield from (f"- {each}" for each in exceptions)
    yield ""


def _explain_secrets(pod: Pod) -> Iterator[str]:
    sources = [f'{name}=<(printf %s "${name}")' for name in pod.variables]
    sources += [shlex.quote(f"{file.name}={file.source}") for file in pod.files]
    if sources or pod.certificate:
        yield "## Secrets\n"
        yield "The spec refers to secrets. These files name the Secret that holds them. In the spec's folder:\n"
    if sources:
        lines = " \\\n".join(f"  --from-file={source}" for source in sources)
        yield f"```bash\nkubectl -n {NAME} create secret generic {SECRET} \\\n{lines}\n```\n"
        if pod.variables:
            yield f"The environment of this bash has the variables: {', '.join(pod.variables)}.\n"
    if pod.certificate:
        certificate, key = map(shlex.quote, pod.certificate)
        yield f"```bash\nkubectl -n {NAME} create secret tls {TLS_SECRET} --cert={certificate} --key={key}\n```\n"
        yield "cert-manager makes a Secret of this form too, and keeps it new.\n"


def _explain_start(pod: Pod) -> Iterator[str]:
    yield "## Start\n"
    if pod.network == "host-network":
        yield "Choose the node that clients reach, by the hub's name or by its own address.\n"
        yield f"```sh\nkubectl label node NODE lkhub=here\nkubectl apply -k {OWN}\n```\n"
        yield "Its firewall has to let clients in: `lkhub render firewall` lists the ports.\n"
        if pod.plan.redis and pod.plan.redis.is_here:
            yield f"The spec's Redis, {pod.plan.redis.address}, has to run on that node too, outside of the pod.\n"
    else:
        yield f"```sh\nkubectl apply -k {OWN}\nkubectl -n {NAME} get service {NAME}\n```\n"
        yield "The second command shows the balancer's address. The A record of the hub's name needs it. Until the name"
        yield "leads there, the hub ends with an error and is started again.\n"
    yield f"```sh\nkubectl -n {NAME} exec {NAME}-0 -- lkhub status\n```\n"
    yield "With Helm instead of kustomize, `chart` makes the same objects but the namespace:"
    yield f"`helm install {NAME} chart --namespace {NAME} --set image=registry.example.com/lkhub`.\n"


def _explain_agents(pod: Pod) -> Iterator[str]:
    if not pod.plan.agents:
        return
    names = " ".join(agent.name for agent in pod.plan.agents)
    yield "## Agents\n"
    yield "Each agent is a Deployment. Its pods wait for a Secret with its variables, which the running hub prints:"
    yield f"\n```sh\nfor agent in {names}; do"
    yield f"  kubectl -n {NAME} exec {NAME}-0 -- lkhub agents env $agent --format secret | kubectl -n {NAME} apply -f -"
    yield "done\n```\n"
    yield "After `lkhub keys rotate`, or a change of an agent's `env`, do it again, and have new pods read it. A worker"
    yield f"that is in a call finishes it, for as long as `drain` says, {pod.plan.drain}:"
    deployments = " ".join(f"deployment/{name_deployment(agent.name)}" for agent in pod.plan.agents)
    yield f"\n```sh\nkubectl -n {NAME} rollout restart {deployments}\n```\n"


def _explain_use(pod: Pod) -> Iterator[str]:
    yield "## Change and stop\n"
    yield "After a change of `hub.yaml`, render and apply again. Within two minutes the pod sees the spec, and"
    yield f"\n```sh\nkubectl -n {NAME} exec {NAME}-0 -- lkhub up\n```\n"
    yield "has the running hub take it over. A change of ports, of `drain` or of secrets needs another pod:"
    yield f"\n```sh\nkubectl -n {NAME} delete pod {NAME}-0\n```\n"
    yield f"It waits for calls, {pod.plan.drain} at most (`drain`). `kubectl drain` of the node goes on after that."
    yield "Keys, certificates and the store are in the volume `state`, which stays when the rest is deleted.\n"
