"""`lkhub render kubernetes`."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from lkhub import __version__
from lkhub.plan.container import CONTAINED
from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.render.targets.kubernetes.chart import STORAGE_SIZE, render_chart
from lkhub.render.targets.kubernetes.manifests import (
    NAME,
    SPEC_KEY,
    STATE,
    Values,
    render_namespace,
    render_objects,
)
from lkhub.render.targets.kubernetes.pod import Network, has_balancer, require_pod
from lkhub.render.targets.kubernetes.readme import render_readme
from lkhub.render.targets.target import Forms, Given, Target
from lkhub.source.yaml import parse_document

NETWORKS: tuple[Network, ...] = get_args(Network)

IMAGE = f"lkhub:{__version__}"

INSTALLATION = replace(CONTAINED, state=STATE, agents="pods")

# Characters that end a line for some readers of YAML and not for others, or that a block can't hold.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def _render(plan: Plan, given: Given, form: str | None) -> tuple[RenderedFile, ...]:
    networks = [network for network in NETWORKS if form in (None, network)]
    if form is None and not has_balancer(plan):
        networks.remove("load-balancer")
    return tuple(file for network in networks for file in _render_network(plan, given, network))


def _render_network(plan: Plan, given: Given, network: Network) -> Iterator[RenderedFile]:
    """One folder: manifests and a chart for a pod in this network."""
    pod = require_pod(plan, network)
    values = Values(IMAGE, STORAGE_SIZE, "", show_spec(given.spec.decode()))
    files = {"namespace.yaml": render_namespace(pod), **dict(render_objects(pod, values))}
    kustomization = KUSTOMIZATION.format(name=NAME, resources="".join(f"  - {name}\n" for name in files))
    yield RenderedFile(f"{network}/README.md", render_readme(pod), 0o644)
    yield RenderedFile(f"{network}/kustomization.yaml", kustomization, 0o644)
    for name, text in files.items():
        yield RenderedFile(f"{network}/{name}", text, 0o644)
    spec = parse_document(given.spec, SPEC_KEY).data
    for file in render_chart(pod, IMAGE, spec, __version__):
        yield replace(file, name=f"{network}/chart/{file.name}")


def show_spec(text: str) -> str:
    """The spec as the data of a ConfigMap, with its comments and lines where it can stand in YAML so."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff").rstrip("\n")
    if not text.strip() or _ODD.search(text):
        return f"  {SPEC_KEY}: {json.dumps(text)}\n"
    lines = "".join(f"    {line}\n" if line else "\n" for line in text.split("\n"))
    # How far a block is indented is taken from its first line, which may be indented itself (YAML 1.2, 8.1.1.1).
    indicator = "2" if text.lstrip("\n").startswith(" ") else ""
    return f"  {SPEC_KEY}: |{indicator}\n{lines}"


KUSTOMIZATION = """\
# Written anew by `lkhub render kubernetes`. README.md says where the name of your image stands.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {name}
resources:
{resources}"""

KUBERNETES = Target(
    "kubernetes",
    "manifests for kustomize and a Helm chart, for a pod in the node's network or behind a load balancer.",
    _render,
    Forms("--format", NETWORKS),
    installation=INSTALLATION,
    elsewhere=True,
    starts=True,
)
