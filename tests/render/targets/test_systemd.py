"""The unit of systemd: golden texts, and what systemd itself says of them."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.model import Plan
from lkhub.plan.service import INSTALLED, SYSTEM, user_service
from lkhub.render.targets.agent_units import render_agent_units
from lkhub.render.targets.site_units import render_site_units
from lkhub.render.targets.systemd import ABORT_SECONDS, render_environment, render_systemd
from lkhub.spec.load import load_spec
from lkhub.spec.sites import MAX_NAME
from tests.machines import MACHINES, plan_sound

GOLDEN = Path(__file__).parents[2] / "golden/units"
SPECS = {
    "vps": """\
reach: public
domain: rtc.example.com
drain: 10m
access: {modes: [oidc], oidc: {issuer: "https://id.example.com", client_id: hub, client_secret: {file: oidc.secret}}}
store: {url: "postgresql://lkhub@db.example.com/lkhub", password: {env: DB_PASSWORD}}
""",
    "high-ports": "reach: lan\ntls: {listen: 8443}\ndrain: 0s\n",
}


def make_plan(spec: str, machine: str = "vps") -> Plan:
    return plan_sound(spec, MACHINES[machine], INSTALLED)


def read_settings(unit: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))


@pytest.mark.parametrize("name", SPECS)
def test_unit_is_exactly_this(name: str) -> None:
    unit = render_systemd(make_plan(SPECS[name], "vps" if name == "vps" else "laptop"))
    path = GOLDEN / f"{name}.service"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(unit.text)
    assert unit.text == path.read_text()
    assert (unit.name, unit.mode) == ("lkhub.service", 0o644)


AGENTS = """\
agents:
  - {name: bmo, project: bmo, replicas: 2}
  - {name: other, project: /srv/other, command: node agent.js, env: {KEY: SECRETSECRET}}
"""


def test_unit_of_an_agent_is_exactly_this() -> None:
    plan = make_plan(AGENTS)
    units = render_agent_units(plan)
    assert [unit.name for unit in units] == [
        "lkhub-agent-bmo.service",
        "lkhub-agent-bmo-2.service",
        "lkhub-agent-other.service",
    ]
    path = GOLDEN / "agent.service"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(units[1].text)
    assert units[1].text == path.read_text()
    assert not any("SECRET" in unit.text for unit in units)


SITES = """\
tls: {mode: internal}
sites:
  - {name: bmo, root: bmo/dist, port: 3001, build: npm run build, env: {KEY: SECRETSECRET}}
  - {name: plain, root: /srv/plain, port: 3002}
"""


def test_unit_of_a_build_is_exactly_this() -> None:
    plan = make_plan(f"reach: lan\n{SITES}", "laptop")
    [unit] = render_site_units(plan)
    assert unit.name == "lkhub-site-bmo.service"
    path = GOLDEN / "site.service"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(unit.text)
    assert unit.text == path.read_text()
    assert "SECRET" not in unit.text
    assert unit.name in read_settings(render_systemd(plan).text)["Wants"].split()


def test_longest_name_of_a_site_is_one_that_systemd_takes() -> None:
    site = f"{{name: {'a' * MAX_NAME}, root: a/dist, port: 3001, build: make}}"
    [unit] = render_site_units(make_plan(f"reach: lan\nsites: [{site}]\n", "laptop"))
    assert len(read_settings(unit.text)["User"]) <= 31


def test_hub_starts_its_agents_and_ends_before_them() -> None:
    plan = make_plan(AGENTS)
    settings = read_settings(render_systemd(plan).text)
    units = [unit.name for unit in render_agent_units(plan)]
    assert settings["Wants"].split()[1:] == units
    assert settings["Environment"] == "LKHUB_AGENTS=apart"
    for unit in render_agent_units(plan):
        assert read_settings(unit.text)["Before"] == "lkhub.service"


def test_agents_share_a_user_and_a_folder_with_their_replicas_alone() -> None:
    first, second, other = (read_settings(unit.text) for unit in render_agent_units(make_plan(AGENTS)))
    for key in ("User", "StateDirectory", "BindReadOnlyPaths"):
        assert first[key] == second[key] != other[key]
    # A longer one is refused (systemd's USER_NAMES.md).
    [longest] = render_agent_units(make_plan(f"agents: [{{name: {'a' * 20}, project: a}}]"))
    assert len(read_settings(longest.text)["User"]) <= 31


def test_agents_of_a_user_have_no_units() -> None:
    service = user_service("/home/ann", "/home/ann/.local/state/lkhub", "ann")
    plan = plan_sound(AGENTS, MACHINES["vps"], service.installation)
    assert render_agent_units(plan) == ()
    assert "LKHUB_AGENTS" not in render_systemd(plan, service).text


def test_stop_waits_for_calls_and_the_watchdog_does_not() -> None:
    settings = read_settings(render_systemd(make_plan("drain: 10m")).text)
    assert int(settings["TimeoutStopSec"]) > 600
    assert int(settings["TimeoutAbortSec"]) == ABORT_SECONDS < 10


@pytest.mark.parametrize("name", SPECS)
def test_hub_has_one_capability(name: str) -> None:
    settings = read_settings(render_systemd(make_plan(SPECS[name], "vps" if name == "vps" else "laptop")).text)
    assert settings["AmbientCapabilities"] == settings["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"


def test_hub_of_a_tailnet_waits_for_its_daemon() -> None:
    plan = make_plan(SPECS["vps"])
    assert plan.edge
    assert "tailscaled" not in render_systemd(plan).text
    edge = replace(plan.edge, tls=replace(plan.edge.tls, mode="tailscale"))
    settings = read_settings(render_systemd(replace(plan, edge=edge)).text)
    assert settings["Wants"] == settings["After"] == "network-online.target tailscaled.service"


@pytest.mark.parametrize(
    "spec",
    [
        "agents: [{name: a, project: /srv/a, command: node agent.js}]\n",
        "tls: {mode: internal}\nsites: [{name: a, root: /srv/a/dist, port: 3001, build: npm run build}]\n",
    ],
)
def test_node_may_compile_in_memory(spec: str) -> None:
    for service in (SYSTEM, user_service("/home/ann", "/home/ann/.local/state/lkhub", "ann")):
        of_service = plan_sound(f"reach: lan\n{spec}", MACHINES["laptop"], service.installation)
        settings = read_settings(render_systemd(of_service, service).text)
        assert ("MemoryDenyWriteExecute" in settings) != service.of_user
        assert settings["RestrictNamespaces"] == "yes"
        units = (*render_agent_units(of_service), *render_site_units(of_service))
        assert bool(units) != service.of_user
        for unit in units:
            assert "MemoryDenyWriteExecute" not in unit.text


def test_no_secret_is_in_the_unit() -> None:
    plan = make_plan(f"keys: {{source: {{key: APIabc, secret: {'SECRET' * 6}}}}}")
    assert "SECRET" not in render_systemd(plan).text


def test_environment_keeps_what_systemd_would_read_otherwise() -> None:
    assert render_environment({"B": "x", "A": 'a "b" \\ $c %d'}) == 'A="a \\"b\\" \\\\ $c %d"\nB="x"\n'


def test_unit_of_a_user_is_exactly_this_and_judged_by_systemd(tmp_path: Path) -> None:
    service = user_service("/home/ann", "/home/ann/.local/state/lkhub", "ann")
    loaded = load_spec(SPECS["vps"].encode())
    plan = build_plan(loaded, MACHINES["vps"], service.installation)
    assert plan
    unit = render_systemd(plan, service).text
    path = GOLDEN / "user.service"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(unit)
    assert unit == path.read_text()
    # What a user's own systemd can't do fails the unit, or does nothing.
    for needs_root in (
        "User=",
        "AmbientCapabilities=",
        "CapabilityBoundingSet=",
        "Protect",
        "Private",
        "network-online",
    ):
        assert needs_root not in unit
    if shutil.which("systemd-analyze"):
        file = tmp_path / "lkhub.service"
        file.write_text(re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", unit, flags=re.M))
        judged = subprocess.run(["systemd-analyze", "--user", "verify", file], capture_output=True, text=True)
        assert "lkhub.service" not in judged.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("name", [*SPECS, "agent", "site"])
def test_systemd_finds_no_fault_and_little_exposure(name: str, tmp_path: Path) -> None:
    # The units of agents name the hub's.
    names = {"agent": "lkhub-agent-bmo-2.service", "site": "lkhub-site-bmo.service"}
    unit = tmp_path / names.get(name, "lkhub.service")
    # The program is not here.
    unit.write_text(re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", (GOLDEN / f"{name}.service").read_text(), flags=re.M))
    judged = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (judged.returncode, judged.stderr) == (0, "")
    exposed = ["systemd-analyze", "security", "--offline=yes", "--threshold=16", str(unit)]
    assert subprocess.run(exposed, capture_output=True).returncode == 0
