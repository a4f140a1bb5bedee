"""The compose file and the image: golden texts, and what follows from a spec."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub import __version__
from lkhub.plan.container import CONTAINED, UID, choose_agent_uid
from lkhub.plan.model import Plan
from lkhub.render.files import RenderedFile
from lkhub.render.targets.compose import COMPOSE, render_compose
from lkhub.render.targets.image import render_image
from lkhub.render.targets.target import Given
from lkhub.source.yaml import parse_plain
from tests.machines import MACHINES, plan_sound

GOLDEN = Path(__file__).parents[2] / "golden/containers"
SPECS = {
    "vps": """\
reach: public
domain: rtc.example.com
drain: 10m
tls: {mode: files, cert: /etc/letsencrypt/live/rtc.example.com/fullchain.pem, key: /srv/keys/privkey.pem}
access: {modes: [oidc], oidc: {issuer: "https://id.example.com", client_id: hub, client_secret: {file: oidc.secret}}}
store: {url: "postgresql://lkhub@db.example.com/lkhub", password: {env: DB_PASSWORD}}
turn: {external: [{url: "turn:turn.example.com:3479", secret: {file: /root/turn.secret}}]}
""",
    "home": "reach: lan\n",
    "agents": """\
reach: lan
agents:
  - {name: bmo, project: bmo, replicas: 2, env: {MODEL: {file: model.key}, VOICE: {env: VOICE_KEY}}}
  - {name: other, project: /srv/other, command: node agent.js, env: {KEY: SECRETSECRET}}
""",
    "images": """\
reach: lan
drain: 5m
agents:
  - {name: bmo, image: "registry.example/bmo-agent:1.2", replicas: 2, env: {KEY: SECRETSECRET, VOICE: {env: VOICE_KEY}}}
  - {name: node, image: agent, command: "node 'my agent.js' $HOME"}
  - {name: code, project: code}
""",
}


def make_plan(spec: str, machine: str = "vps") -> Plan:
    return plan_sound(spec, MACHINES[machine], CONTAINED)


def read_services(plan: Plan) -> dict[str, dict[str, Any]]:
    data, document = parse_plain(render_compose(plan).text.encode(), "compose.yaml")
    assert document.faults == []
    return data["services"]  # type: ignore[no-any-return]


def read_service(plan: Plan) -> dict[str, Any]:
    return read_services(plan)["hub"]


def assert_golden(file: RenderedFile, path: Path) -> None:
    text = file.text.replace(__version__, "VERSION")
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SPECS)
def test_compose_file_is_exactly_this(name: str) -> None:
    file = render_compose(make_plan(SPECS[name], "vps" if name == "vps" else "laptop"))
    path = GOLDEN / f"{name}.yaml"
    assert_golden(file, path)
    assert (file.name, file.mode) == ("compose.yaml", 0o644)


@pytest.mark.parametrize("file", render_image(), ids=lambda file: file.name)
def test_image_is_exactly_this(file: RenderedFile) -> None:
    assert_golden(file, GOLDEN / file.name.lstrip("."))


@pytest.mark.parametrize("name", SPECS)
def test_all_that_the_image_copies_gets_to_it(name: str) -> None:
    files = {file.name: file for file in COMPOSE.render(make_plan(SPECS[name]), Given(), None) if not file.kept}
    assert set(files) == {"compose.yaml", "Dockerfile", "lkhub.sh", ".dockerignore"}
    kept = {line[1:] for line in files[".dockerignore"].text.splitlines() if line.startswith("!")}
    assert kept == {"Dockerfile", "lkhub.sh", "*.whl"}
    copied = [
        line for line in files["Dockerfile"].text.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    assert {name for line in copied for name in line.split()[1:-1]} == kept


def test_agent_gets_what_the_hub_gives_it_and_nothing_else() -> None:
    text = render_compose(make_plan(SPECS["agents"])).text
    assert "SECRET" not in text
    services = parse_plain(text.encode(), "compose.yaml")[0]["services"]
    assert list(services) == ["hub", "agent-bmo", "agent-bmo-2", "agent-other"]
    for name, service in services.items():
        if name == "hub":
            continue
        agent = name.split("-")[1]
        kept = f"/var/lib/lkhub-agents/{agent}"
        assert service["volumes"] == [f"for-{agent}:/run/lkhub-agent:ro", f"agent-{agent}:{kept}"]
        assert f"for-{agent}:/var/lib/lkhub/for-agents/{agent}" in services["hub"]["volumes"]
        uid = choose_agent_uid(agent)
        assert (service["user"], service["read_only"], service["restart"]) == (f"{uid}:{uid}", True, "unless-stopped")
        assert f"{agent}:{uid}" in service["build"]["args"]["AGENTS"].split()
        assert not {"secrets", "cap_add"} & set(service)
        assert service["environment"] == [f"STATE_DIRECTORY={kept}"]
    # The hub copies it.
    assert "/srv/other:/srv/other:ro" in services["hub"]["volumes"]


def test_each_agent_has_a_user_of_its_own_that_docker_without_root_has_too() -> None:
    uids = {choose_agent_uid(name) for name in ("bmo", "other", "bmo-2", "a", "b")}
    assert len(uids) == 5
    assert all(UID < uid < 65536 for uid in uids)


def test_agent_that_is_an_image_gets_its_variables_from_a_file_that_is_kept() -> None:
    plan = make_plan(SPECS["images"])
    text = render_compose(plan).text
    assert "SECRET" not in text
    services = parse_plain(text.encode(), "compose.yaml")[0]["services"]
    assert list(services) == ["hub", "agent-bmo", "agent-bmo-2", "agent-node", "agent-code"]
    for name in ("agent-bmo", "agent-bmo-2", "agent-node"):
        service = services[name]
        assert not {"build", "volumes", "environment", "secrets", "cap_add", "user"} & set(service)
        assert service["env_file"] == [f"agent-{name.split('-')[1]}.env"]
        assert (service["network_mode"], service["restart"]) == ("host", "unless-stopped")
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert service["stop_grace_period"] == services["hub"]["stop_grace_period"] == "330s"
    assert "command" not in services["agent-bmo"]
    assert services["agent-node"]["command"] == ["node", "my agent.js", "$$HOME"]
    # The image of the hub, and its volumes, are for the others alone.
    assert services["hub"]["build"]["args"]["AGENTS"].startswith("code:")
    assert not [volume for volume in services["hub"]["volumes"] if "bmo" in volume or "node" in volume]
    kept = {file.name: file for file in COMPOSE.render(plan, Given(), None) if file.kept}
    assert {name: file.mode for name, file in kept.items()} == {"agent-bmo.env": 0o600, "agent-node.env": 0o600}
    assert all(line.startswith("#") for file in kept.values() for line in file.text.splitlines())


def test_hub_with_images_alone_brings_no_installer_along() -> None:
    plan = make_plan("agents: [{name: bmo, image: bmo}]")
    assert read_service(plan)["build"] == "."


def test_hub_in_a_container_starts_no_agent_itself() -> None:
    for name in SPECS:
        assert "LKHUB_AGENTS=containers" in read_service(make_plan(SPECS[name]))["environment"]


def test_stop_waits_for_calls_and_a_margin() -> None:
    assert read_service(make_plan("drain: 10m"))["stop_grace_period"] == "630s"
    assert read_service(make_plan("drain: 0s"))["stop_grace_period"] == "30s"


def test_certificate_is_mounted_with_its_folder() -> None:
    """A mounted file would stay the old certificate when it is renewed."""
    template = "reach: public\ndomain: rtc.example.com\ntls: {{mode: files, cert: {}, key: {}}}\n"

    def list_mounted(cert: str, key: str) -> list[str]:
        return read_service(make_plan(template.format(cert, key)))["volumes"][2:]  # type: ignore[no-any-return]

    assert list_mounted("/srv/tls/a.pem", "/srv/tls/b.pem") == ["/srv/tls:/srv/tls:ro"]
    assert list_mounted("tls/a.pem", "/etc/lkhub/b.pem") == []
    live = "/etc/letsencrypt/live/rtc.example.com"
    assert list_mounted(f"{live}/fullchain.pem", f"{live}/privkey.pem") == ["/etc/letsencrypt:/etc/letsencrypt:ro"]


def test_hub_of_a_tailnet_reaches_its_daemon() -> None:
    plan = make_plan("reach: lan")
    assert plan.edge
    edge = replace(plan.edge, tls=replace(plan.edge.tls, mode="tailscale"))
    assert "/var/run/tailscale:/var/run/tailscale:ro" in read_service(replace(plan, edge=edge))["volumes"]


def test_engine_of_the_operator_is_mounted() -> None:
    assert (
        "/opt/livekit-server:/opt/livekit-server:ro"
        in read_service(make_plan("engine: /opt/livekit-server"))["volumes"]
    )
    assert len(read_service(make_plan("engine: bin/livekit-server"))["volumes"]) == 2


def test_web_sites_are_mounted() -> None:
    sites = "sites: [{name: a, root: /srv/a, port: 3001}, {name: b, root: dist, port: 3002}]"
    service = read_service(make_plan(f"reach: lan\n{sites}\n"))
    assert service["volumes"][2:] == ["/srv/a:/srv/a:ro"]


def test_project_of_a_site_is_mounted_and_what_the_build_makes_is_in_the_state() -> None:
    sites = (
        "sites: [{name: a, root: /srv/a/dist, port: 3001, build: make}, "
        "{name: b, root: b/dist, port: 3002, build: make}]"
    )
    service = read_service(make_plan(f"reach: lan\n{sites}\n"))
    assert service["volumes"] == [
        "state:/var/lib/lkhub",
        *("build-a:/var/lib/lkhub/for-sites/a", "build-b:/var/lib/lkhub/for-sites/b"),
        *(".:/etc/lkhub:ro", "/srv/a:/srv/a:ro"),
    ]


def test_site_is_built_in_a_container_that_has_nothing_of_the_hub_but_a_socket() -> None:
    sites = "sites: [{name: a, root: a/dist, port: 3001, build: make}, {name: b, root: b, port: 3002}]"
    services = read_services(make_plan(f"reach: lan\n{sites}\nagents: [{{name: a, project: a}}]\n"))
    assert set(services) == {"hub", "agent-a", "site-a"}
    built = services["site-a"]
    assert built["volumes"] == ["build-a:/run/lkhub-site:ro", "scratch-a:/var/tmp"]
    assert (built["read_only"], built["cap_drop"]) == (True, ["ALL"])
    uid = int(built["user"].partition(":")[0])
    assert uid not in (0, UID, int(services["agent-a"]["user"].partition(":")[0]))
    assert built["build"]["args"]["SITES"] == "a"
    assert built["build"] == services["hub"]["build"]


def test_dollar_begins_no_variable() -> None:
    service = read_service(make_plan("engine: /opt/a$HOME/livekit-server"))
    assert service["volumes"][-1] == "/opt/a$$HOME/livekit-server:/opt/a$$HOME/livekit-server:ro"


def test_no_secret_is_in_the_files() -> None:
    spec = f"keys: {{source: {{key: APIabc, secret: {'SECRET' * 6}}}}}"
    files = COMPOSE.render(make_plan(spec), Given(spec=spec.encode()), None)
    assert "SECRET" not in "".join(file.text for file in files)
