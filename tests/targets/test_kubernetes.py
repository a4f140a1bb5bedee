"""What a real API server says of the manifests and of the chart. No container starts: there is no node."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lkhub.render.files import RenderedFile
from lkhub.render.targets.kubernetes.agents import render_secret
from lkhub.render.targets.kubernetes.target import IMAGE, KUBERNETES
from lkhub.render.targets.target import Given
from lkhub.spec.load import load_spec
from tests.documents import ROOT
from tests.kit.guide import Desk, follow
from tests.kit.kubernetes import VERSION, Cluster, run_cluster
from tests.render.targets.test_kubernetes import ROOTLESS, SPECS, list_forms, make_plan

NAME = "lkhub"
# The chart demands a version of Kubernetes, and a helm that was not released believes in a very old one.
TEMPLATE = ("helm", "template", f"--kube-version=v{VERSION}", NAME)
DRY = ("apply", "--dry-run=server", "--validate=strict")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with run_cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """By spec and network, a folder as `lkhub render` writes it."""
    made = {}
    for name, network in list_forms():
        folder = tmp_path_factory.mktemp(name)
        for file in KUBERNETES.render(make_plan(SPECS[name]), Given(spec=SPECS[name].encode()), network):
            write(file, folder)
        made[name, network] = folder / network
    return made


def write(file: RenderedFile, folder: Path) -> None:
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.text)


def label(cluster: Cluster, level: str) -> None:
    """Have a namespace with this level of Pod Security."""
    labels = {"pod-security.kubernetes.io/enforce": level}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME, "labels": labels}}
    cluster.must("kubectl", "apply", "-f", "-", input=json.dumps(namespace))


def make_pod(folder: Path) -> str:
    """The pod that the controller of stateful sets would make."""
    template = YAML(typ="safe").load((folder / "statefulset.yaml").read_text())["spec"]["template"]
    claim = {"name": "state", "persistentVolumeClaim": {"claimName": f"state-{NAME}-0"}}
    template["spec"]["volumes"].append(claim)
    metadata = {**template["metadata"], "name": f"{NAME}-0", "namespace": NAME}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})


def make_agent_pod(folder: Path, agent: str) -> str:
    """The pod that the controllers of deployments would make."""
    template = YAML(typ="safe").load((folder / f"agent-{agent}.yaml").read_text())["spec"]["template"]
    metadata = {**template["metadata"], "name": f"agent-{agent}-0", "namespace": NAME}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})


def read_objects(text: str) -> dict[str, Any]:
    """By kind, those of agents with their name. Texts that are a spec are read, since a chart has it without comments,
    in another order."""
    objects = [each for each in YAML(typ="safe").load_all(text) if each]
    found = {each["kind"] + each["metadata"]["name"].removeprefix(NAME): each for each in objects}
    assert len(found) == len(objects)
    spec = found["ConfigMap"]["data"].pop("hub.yaml")
    found["spec"] = load_spec(spec.encode()).require_sound()
    return found


@pytest.mark.parametrize(("name", "network"), list_forms())
def test_the_server_accepts_every_manifest(
    name: str, network: str, cluster: Cluster, folders: dict[tuple[str, str], Path]
) -> None:
    folder = folders[name, network]
    cluster.must("kubectl", "apply", "-f", str(folder / "namespace.yaml"))
    said = cluster.must("kubectl", *DRY, "-k", str(folder))
    kinds = (
        "configmap",
        "service",
        "statefulset.apps",
        "poddisruptionbudget.policy",
        "networkpolicy.networking.k8s.io",
    )
    assert all(f"{kind}/{NAME} " in said for kind in kinds)
    # Pod Security judges pods. It would refuse the controller's.
    cluster.must("kubectl", *DRY, "-f", "-", input=make_pod(folder))
    if name == "agents":
        assert all(f"{each}/{NAME}-agent{end} " in said for each in ("deployment.apps",) for end in ("-bmo", "-node"))
        assert f"networkpolicy.networking.k8s.io/{NAME}-agents " in said
        label(cluster, "restricted")
        for agent in ("bmo", "node"):
            cluster.must("kubectl", *DRY, "-f", "-", input=make_agent_pod(folder, agent))
            # What a Deployment is warned of, and a pod refused.
            file = str(folder / f"agent-{agent}.yaml")
            done = cluster.run("kubectl", *DRY, "-n", NAME, "-f", file)
            assert (done.returncode, done.stderr) == (0, "")
        cluster.must("kubectl", *DRY, "-n", NAME, "-f", "-", input=render_secret("bmo", {"A": "é\n"}))


@pytest.mark.parametrize(("name", "network"), list_forms())
def test_the_chart_makes_the_same_objects(
    name: str, network: str, cluster: Cluster, folders: dict[tuple[str, str], Path]
) -> None:
    folder = folders[name, network]
    rendered = cluster.must(*TEMPLATE, str(folder / "chart"), "--namespace", NAME)
    built = cluster.must("kubectl", "kustomize", str(folder))
    chart, manifests = read_objects(rendered), read_objects(built)
    del manifests["Namespace"]
    for each in manifests.values():
        if isinstance(each, dict):
            del each["metadata"]["namespace"]  # Helm's own option
    assert chart == manifests
    cluster.must("kubectl", "apply", "-f", str(folder / "namespace.yaml"))
    cluster.must("kubectl", *DRY, "-n", NAME, "-f", "-", input=rendered)
    cluster.must("helm", "lint", "--strict", str(folder / "chart"))


@pytest.mark.parametrize(("name", "network"), list_forms())
def test_a_stricter_level_refuses_what_the_namespace_says(
    name: str, network: str, cluster: Cluster, folders: dict[tuple[str, str], Path]
) -> None:
    folder = folders[name, network]
    label(cluster, "restricted")
    done = cluster.run("kubectl", *DRY, "-f", "-", input=make_pod(folder))
    if network == "load-balancer":
        assert done.returncode == 0, done.stderr
        return
    reasons = re.sub(r" \([^()]*(\([^()]*\))?[^()]*\)", "", done.stderr.partition(": violates PodSecurity ")[2])
    expected = ["host namespaces", "hostPort"]
    if name not in ROOTLESS:
        expected += ["unrestricted capabilities", "runAsNonRoot != true", "runAsUser=0"]
        assert '"SETGID", "SETPCAP", "SETUID"' in done.stderr
    assert reasons.partition(": ")[2].strip().split(", ") == expected
    label(cluster, "baseline")
    done = cluster.run("kubectl", *DRY, "-f", "-", input=make_pod(folder))
    assert "host namespaces (hostNetwork=true)" in done.stderr
    assert "capabilities" not in done.stderr


def test_the_server_refuses_what_is_wrong(cluster: Cluster, folders: dict[tuple[str, str], Path]) -> None:
    text = (folders["public", "host-network"] / "statefulset.yaml").read_text()
    cluster.must("kubectl", "apply", "-f", str(folders["public", "host-network"] / "namespace.yaml"))
    for wrong, said in (
        (text.replace("hostNetwork:", "hostNetworks:"), "unknown field"),
        (text.replace("matchLabels:\n      app", "matchLabels:\n      other"), "`selector` does not match"),
    ):
        done = cluster.run("kubectl", *DRY, "-n", NAME, "-f", "-", input=wrong)
        assert done.returncode != 0
        assert said in done.stderr


def test_the_chart_refuses_a_spec_for_which_its_pod_is_not_made(
    cluster: Cluster, folders: dict[tuple[str, str], Path]
) -> None:
    chart = str(folders["public", "host-network"] / "chart")
    done = cluster.run(*TEMPLATE, chart, "--set", "spec.drain=1h")
    assert done.returncode != 0
    assert "lkhub render kubernetes" in done.stderr
    other = cluster.must(*TEMPLATE, chart, "--set", "spec.name=lectures", "--set", "storage.class=fast")
    assert read_objects(other)["spec"].name == "lectures"
    agents = str(folders["agents", "host-network"] / "chart")
    done = cluster.run(*TEMPLATE, agents, "--set", "spec.agents=null")
    assert done.returncode != 0
    assert "lkhub render kubernetes" in done.stderr
    [claim] = read_objects(other)["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"


def test_a_reader_gets_where_the_guide_leads(tmp_path: Path) -> None:
    made, desk = tmp_path / "cluster", tmp_path / "desk"
    made.mkdir()
    desk.mkdir()
    # A cluster of its own: without controllers, a namespace is never gone.
    with run_cluster(made) as cluster:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}
        cluster.must("kubectl", "apply", "-f", "-", input=json.dumps(node))
        kubectl = f'exec {cluster.programs}/kubectl --kubeconfig {cluster.config} "$@"'
        helm = f'exec {cluster.programs}/helm "$@"'
        follow(ROOT / "docs/guides/kubernetes.md", Desk(desk, programs={"kubectl": kubectl, "helm": helm}))
        applied = json.loads(cluster.must("kubectl", "-n", NAME, "get", "statefulset", NAME, "-o", "json"))
        [hub] = applied["spec"]["template"]["spec"]["containers"]
        assert applied["spec"]["template"]["spec"]["hostNetwork"] is True
        assert hub["image"] == f"registry.example.com/{IMAGE}"
