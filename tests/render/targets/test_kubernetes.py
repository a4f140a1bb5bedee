"""Manifests and chart of a hub in Kubernetes: golden texts, and that they say what the plan says."""

import json
import os
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lkhub.errors import InputError
from lkhub.plan.container import SECRETS, UID
from lkhub.plan.elsewhere import imagine_network
from lkhub.plan.model import Plan
from lkhub.plan.paths import name_credential
from lkhub.render.targets.kubernetes.agents import render_secret
from lkhub.render.targets.kubernetes.chart import dump_as_go
from lkhub.render.targets.kubernetes.manifests import HUNG_GRACE_SECONDS, HUNG_SECONDS, STATE
from lkhub.render.targets.kubernetes.pod import Pod
from lkhub.render.targets.kubernetes.target import INSTALLATION, KUBERNETES, NETWORKS, show_spec
from lkhub.render.targets.systemd import render_systemd
from lkhub.render.targets.target import Given
from lkhub.spec.load import load_spec
from tests.machines import plan_sound
from tests.render.targets.test_systemd import read_settings

GOLDEN = Path(__file__).parents[2] / "golden/kubernetes"

PUBLIC = "reach: public\ndomain: rtc.example.com\n"
SPECS = {
    "public": f"""\
version: 1
{PUBLIC}drain: 10m  # a lesson
media:
  tcp: off
access: {{modes: [oidc], oidc: {{issuer: "https://id.example.com", client_id: a, client_secret: {{file: a.secret}}}}}}
store: {{url: "postgresql://lkhub@db.example.com/lkhub", password: {{env: DB_PASSWORD}}}}
""",
    "high-ports": "reach: lan\ntls: {mode: files, cert: chain.pem, key: key.pem, listen: 8443, http: off}\ndrain: 0s\n",
    "range": f"{PUBLIC}media: {{udp: 50000-60000}}\nturn: {{enabled: false}}\n",
    "advertised": f"{PUBLIC}media: {{advertise: [203.0.113.7, '2001:db8::7'], udp: 443}}\nturn: {{udp: off}}\n",
    "proxied": f"{PUBLIC}tls: {{mode: external}}\nweb: 9080\n",
    "proxied-in-the-cluster": f"{PUBLIC}tls: {{mode: external, trusted_proxies: [10.0.0.0/8]}}\n",
    "no-tls": "reach: lan\ntls: {mode: off}\nmedia: {signal: 9880}\n",
    "site": f"{PUBLIC}sites: [{{name: shop, root: /srv/shop, port: 3001}}]\n",
    "agents": f"""\
{PUBLIC}drain: 10m
agents:
  - {{name: bmo, image: "registry.example/bmo-agent:1.2", replicas: 2, env: {{KEY: {{env: MODEL_KEY}}}}}}
  - {{name: node, image: agent, command: "node agent.js '$(HOME) {{{{ x }}}}'"}}
""",
    "other-interface": "reach: lan\nmedia: {interfaces: [ens5], advertise: {stun: 'stun.example.com:3478'}}\n",
}
ROOTLESS = ("high-ports", "proxied", "proxied-in-the-cluster", "no-tls")


def make_plan(spec: str) -> Plan:
    return plan_sound(spec, imagine_network(load_spec(spec.encode()).spec), INSTALLATION)


def render(spec: str, form: str | None = None) -> dict[str, str]:
    files = KUBERNETES.render(make_plan(spec), Given(spec=spec.encode()), form)
    return {file.name: file.text for file in files}


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def read_pod(files: dict[str, str], network: str = "host-network") -> Any:
    return read(files[f"{network}/statefulset.yaml"])["spec"]["template"]["spec"]


def list_forms() -> list[tuple[str, str]]:
    return [
        (name, network)
        for name in SPECS
        for network in NETWORKS
        if network == "host-network" or name in ("public", "advertised", "proxied-in-the-cluster", "site", "agents")
    ]


def pair(port: dict[str, Any], key: str = "port") -> tuple[str, int, int]:
    return port["protocol"].lower(), port[key], port.get("endPort", port[key])


@pytest.mark.parametrize("name", ["public", "high-ports", "agents"])
def test_files_are_exactly_these(name: str) -> None:
    text = "\n".join(f"=== {file}\n{text}" for file, text in render(SPECS[name]).items())
    path = GOLDEN / f"{name}.rendered"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(("name", "network"), list_forms())
def test_pod_listens_where_the_plan_says(name: str, network: str) -> None:
    plan, files = make_plan(SPECS[name]), render(SPECS[name], network)
    pod = read_pod(files, network)
    [hub] = pod["containers"]
    rows = {(row.protocol, *row.ports): row.client_facing for row in plan.listeners}
    rows |= {(row.protocol, *row.ports): True for row in plan.listeners if row.client_facing}
    clients = {row for row, open in rows.items() if open}
    on_node = network == "host-network"
    assert pod.get("hostNetwork", False) == on_node
    listed = {pair(port, "containerPort") for port in hub["ports"]}
    assert listed == {row for row in (rows if on_node else clients) if row[1] == row[2]}
    [rule] = read(files[f"{network}/networkpolicy.yaml"])["spec"]["ingress"]
    assert {pair(port) for port in rule["ports"]} == clients
    service = read(files[f"{network}/service.yaml"])["spec"]
    if on_node:
        assert service["clusterIP"] == "None"
    else:
        names = {port["name"]: pair(port, "containerPort") for port in hub["ports"]}
        assert {pair(port) for port in service["ports"]} == clients
        assert all(names[port["targetPort"]] == pair(port) for port in service["ports"])
    assert service["publishNotReadyAddresses"] is True


@pytest.mark.parametrize(("name", "network"), list_forms())
def test_pod_has_the_spec_and_its_limits(name: str, network: str) -> None:
    plan, files = make_plan(SPECS[name]), render(SPECS[name], network)
    pod = read_pod(files, network)
    [hub] = pod["containers"]
    assert read(files[f"{network}/configmap.yaml"])["data"]["hub.yaml"] == SPECS[name]
    assert pod["terminationGracePeriodSeconds"] == int(read_settings(render_systemd(plan).text)["TimeoutStopSec"])
    assert plan.drain < pod["terminationGracePeriodSeconds"]
    assert pod["automountServiceAccountToken"] is False
    limits = hub["securityContext"]
    assert limits["readOnlyRootFilesystem"] is True
    assert limits["allowPrivilegeEscalation"] is False
    assert limits["capabilities"]["drop"] == ["ALL"]
    assert pod["securityContext"]["fsGroup"] == UID
    if name in ROOTLESS or network == "load-balancer":
        assert pod["securityContext"]["runAsUser"] == UID
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert "add" not in limits["capabilities"]
    else:
        assert pod["securityContext"]["runAsUser"] == 0
        assert limits["capabilities"]["add"] == ["NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID"]
    assert {"name": "LKHUB_STATE", "value": STATE} in hub["env"]
    assert plan.paths.root == STATE


@pytest.mark.parametrize("name", SPECS)
def test_the_values_of_the_chart_are_the_spec(name: str) -> None:
    files = render(SPECS[name], "host-network")
    values = files["host-network/chart/values.yaml"]
    for version in (None, (1, 1)):  # Helm reads YAML 1.1
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        data = reader.load(values)
        shown = dump_as_go(data["spec"]).encode()
        assert load_spec(shown).require_sound() == load_spec(SPECS[name].encode()).require_sound()


def test_secrets_are_references_alone() -> None:
    files = render(SPECS["public"])
    pod = read_pod(files)
    [hub] = pod["containers"]
    asked = {"secretKeyRef": {"name": "lkhub-secrets", "key": "DB_PASSWORD"}}
    assert {"name": "DB_PASSWORD", "valueFrom": asked} in hub["env"]
    [volume] = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "secrets"]
    assert volume["items"] == [{"key": "a.secret", "path": "a.secret"}]
    assert {"name": "secrets", "mountPath": SECRETS, "readOnly": True} in hub["volumeMounts"]
    assert not any(
        read(text)["kind"] == "Secret"
        for name, text in files.items()
        if re.search(r"/\w+\.yaml$", name) and "chart" not in name
    )
    command = files["host-network/README.md"]
    assert '--from-file=DB_PASSWORD=<(printf %s "$DB_PASSWORD")' in command
    assert "--from-file=a.secret=a.secret" in command


def test_a_certificate_comes_from_a_secret_of_its_own() -> None:
    files = render(SPECS["high-ports"])
    [spec] = [volume["projected"] for volume in read_pod(files)["volumes"] if volume["name"] == "spec"]
    items = [{"key": "tls.crt", "path": "chain.pem"}, {"key": "tls.key", "path": "key.pem"}]
    assert {"secret": {"name": "lkhub-tls", "items": items}} in spec["sources"]
    assert "create secret tls lkhub-tls --cert=chain.pem --key=key.pem" in files["host-network/README.md"]


def test_path_with_a_space_is_one_word_for_the_shell() -> None:
    oidc = "oidc: {issuer: 'https://id.example.com', client_id: hub, client_secret: {file: '/root/a b'}}"
    files = render(f"{PUBLIC}access: {{modes: [oidc], {oidc}}}\n")
    assert f"'{name_credential('/root/a b')}=/root/a b'" in files["host-network/README.md"]


def test_what_helm_would_read_in_the_spec_is_no_expression() -> None:
    files = render("reach: lan\ntls: {mode: files, cert: 'a {{ b }}.pem', key: key.pem}\n")
    assert '"a {{ b }}.pem"' in files["host-network/statefulset.yaml"]
    assert '"a {{ "{{" }} b }}.pem"' in files["host-network/chart/templates/statefulset.yaml"]


def test_port_is_open_where_clients_connect_to_one_of_its_addresses() -> None:
    plan = make_plan(SPECS["public"])
    ports = set(Pod(plan, "host-network").ports)
    assert ports
    assert set(Pod(replace(plan, listeners=plan.listeners[::-1]), "host-network").ports) == ports


@pytest.mark.parametrize("network", NETWORKS)
def test_name_of_the_image_is_where_no_rendering_replaces_it(network: str) -> None:
    files = render(SPECS["public"], network)
    readme = files[f"{network}/README.md"]
    [own] = re.findall("```yaml\n(.*?)```", readme, re.S)
    assert read(own) == {
        "resources": [f"../{network}"],
        "images": [{"name": "lkhub", "newName": "registry.example.com/lkhub"}],
    }
    assert "kubectl apply -k ../hub\n" in readme
    assert not [name for name in files if name.startswith("hub/")]


@pytest.mark.parametrize("network", NETWORKS)
def test_each_agent_is_a_deployment_that_is_no_part_of_the_hub(network: str) -> None:
    files = render(SPECS["agents"], network)
    bmo, node = (read(files[f"{network}/agent-{name}.yaml"]) for name in ("bmo", "node"))
    for name, found in (("lkhub-agent-bmo", bmo), ("lkhub-agent-node", node)):
        assert (found["kind"], found["metadata"]["name"]) == ("Deployment", name)
        template = found["spec"]["template"]
        labels = template["metadata"]["labels"]
        selected = found["spec"]["selector"]["matchLabels"]
        assert selected.items() <= labels.items()
        # The hub's Service, policy and budget are not for it.
        assert labels["app.kubernetes.io/name"] == name
        pod = template["spec"]
        assert pod["terminationGracePeriodSeconds"] == 630
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "volumes"} & set(pod)
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        [container] = pod["containers"]
        limits = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == limits
        assert container["envFrom"] == [{"secretRef": {"name": name}}]
        assert not {"env", "volumeMounts", "command"} & set(container)
        policy = read(files[f"{network}/agents-networkpolicy.yaml"])["spec"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
        assert (policy["policyTypes"], policy.get("ingress")) == (["Ingress"], None)
    assert (bmo["spec"]["replicas"], node["spec"]["replicas"]) == (2, 1)
    assert [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in (bmo, node)] == [
        "registry.example/bmo-agent:1.2",
        "agent",
    ]
    assert "args" not in bmo["spec"]["template"]["spec"]["containers"][0]
    # A variable of Kubernetes' own form is text here.
    [container] = node["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["node", "agent.js", "$$(HOME) {{ x }}"]


@pytest.mark.parametrize("network", NETWORKS)
def test_hub_in_a_pod_is_told_that_its_agents_are_pods(network: str) -> None:
    [hub] = read_pod(render(SPECS["agents"], network), network)["containers"]
    assert {"name": "LKHUB_AGENTS", "value": "pods"} in hub["env"]
    # It has what the agents' Secrets are made from.
    assert "MODEL_KEY" in {variable["name"] for variable in hub["env"]}


def test_agent_in_a_pod_calls_the_hub_as_clients_do() -> None:
    [bmo, _] = make_plan(SPECS["agents"]).agents
    assert bmo.variables[0].value == "wss://rtc.example.com"


def test_readme_says_how_each_agent_gets_its_variables_and_a_new_key() -> None:
    readme = render(SPECS["agents"])["host-network/README.md"]
    assert "for agent in bmo node; do" in readme
    assert "rollout restart deployment/lkhub-agent-bmo deployment/lkhub-agent-node\n" in readme
    assert "Agents" not in render(SPECS["public"])["host-network/README.md"]


def test_secret_of_an_agent_has_its_values_as_they_are() -> None:
    values = {"A": "a 'b' \"c\"\n$D \\ é", "EMPTY": ""}
    secret = json.loads(render_secret("bmo", values))
    assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "lkhub-agent-bmo")
    assert {name: b64decode(value).decode() for name, value in secret["data"].items()} == values


def test_a_failed_verification_ends_no_pod() -> None:
    [hub] = read_pod(render(SPECS["public"]))["containers"]
    for probe in (hub["startupProbe"], hub["readinessProbe"], hub["livenessProbe"]):
        assert "status" not in " ".join(probe["exec"]["command"])
    alive = hub["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] == HUNG_SECONDS
    assert alive["terminationGracePeriodSeconds"] == HUNG_GRACE_SECONDS


@pytest.mark.parametrize(
    ("spec", "form", "said"),
    [
        ("", None, "reach: lan or reach: public"),
        ("reach: lan\ntls: {mode: tailscale}", None, "tls.mode: internal"),
        ("reach: lan\nengine: /usr/bin/livekit-server", None, "engine: bundled"),
        ("reach: lan\ntls: {mode: files, cert: /etc/ssl/a.pem, key: /etc/ssl/b.pem}", None, "tls.cert: tls.crt"),
        (f"{PUBLIC}keys: {{source: {{key: APIabc, secret: {'SECRET' * 6}}}}}", None, "{env: NAME}"),
        ("reach: lan\nagents: [{name: a, image: b}]", None, "tls.mode: acme"),
        (f"{PUBLIC}agents: [{{name: a, image: b, env: {{A: {'SECRET' * 6}}}}}]", None, "{env: NAME}"),
        (f"{PUBLIC}sites: [{{name: shop, root: dist, port: 3001}}]", None, "absolute path"),
        (f"{PUBLIC}sites: [{{name: shop, root: shop/dist, port: 3001, build: make}}]", None, "absolute path"),
        (f"{PUBLIC}sites: [{{name: shop, root: dist, port: 3001, build: make}}]", None, "absolute path"),
        ("reach: lan", "load-balancer", "reach: public"),
        (SPECS["range"], "load-balancer", "media.udp: 7882"),
        (SPECS["proxied"], "load-balancer", "tls.trusted_proxies"),
        (f"{PUBLIC}redis: 'redis://localhost'", "load-balancer", "a Redis that the pod reaches"),
        (f"{PUBLIC}redis: 'redis://:{'SECRET'}@[::1]'", None, "{env: NAME}"),
    ],
)
def test_what_a_pod_cannot_run_says_what_to_write(spec: str, form: str | None, said: str) -> None:
    with pytest.raises(InputError) as refused:
        render(spec, form)
    assert said in refused.value.hints[0]
    assert "SECRET" not in str(refused.value)


def test_where_no_balancer_can_lead_there_is_no_folder_for_one() -> None:
    assert {name.partition("/")[0] for name in render(SPECS["range"])} == {"host-network"}
    assert {name.partition("/")[0] for name in render(SPECS["public"])} == {"host-network", "load-balancer"}
    assert {name.partition("/")[0] for name in render(f"{PUBLIC}redis: 'redis://127.0.0.2'")} == {"host-network"}


@pytest.mark.parametrize(("host", "is_here"), [("localhost", True), ("redis.example.com", False)])
def test_redis_of_the_node_is_named(host: str, is_here: bool) -> None:
    readme = render(f"{PUBLIC}redis: 'redis://{host}'", "host-network")["host-network/README.md"]
    assert ("Redis, localhost:6379, has to run on that node too" in readme) == is_here


@pytest.mark.parametrize(
    "text", ["  a: 1\n  b: 2\n", "\n\na: 1\n", "a: 'x'\t# tab\n", 'a: "\x85"\n', "a: é\n\n  \nb: 1"]
)
def test_spec_stands_in_yaml_as_it_is(text: str) -> None:
    assert read(show_spec(text))["hub.yaml"].rstrip("\n") == text.rstrip("\n")


def test_json_is_written_as_helm_does() -> None:
    assert (
        dump_as_go({"b": [1, True, None], "a": "<é & \"'>\u2028"})
        == '{"a":"\\u003cé \\u0026 \\"\'\\u003e\\u2028","b":[1,true,null]}'
    )
