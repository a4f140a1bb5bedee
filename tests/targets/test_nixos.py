"""The module of NixOS, as Nix evaluates it, with a stand-in for nixpkgs' lib (nixos/lib.nix). Nothing is built or
booted."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lkhub.plan.agents import IMAGE_FIX, IMAGE_REFUSED
from lkhub.plan.model import Plan
from lkhub.plan.service import INSTALLED
from lkhub.render.targets.agent_units import render_agent_units
from lkhub.render.targets.nixos.language import write_nix
from lkhub.render.targets.nixos.target import render_nixos
from lkhub.render.targets.site_units import render_site_units
from lkhub.render.targets.systemd import render_systemd
from lkhub.render.targets.target import Given
from tests.documents import ROOT
from tests.kit.guide import Desk, follow
from tests.machines import MACHINES, plan_sound

pytestmark = pytest.mark.skipif(not shutil.which("nix-instantiate"), reason="needs Debian's nix-bin")

MACHINE = Path(__file__).parent / "nixos/machine.nix"

PUBLIC = "reach: public\ndomain: rtc.example.com\n"
SPECS = {
    "nothing": "",
    "lan": "reach: lan\nname: home\n",
    "public": f"{PUBLIC}tls: {{email: ops@example.com}}\ndrain: 10m\n",
    "tailnet": "reach: lan\ntls: {mode: tailscale}\ndrain: 0s\n",
    "proxied": f"{PUBLIC}tls: {{mode: external, trusted_proxies: [192.0.2.0/24]}}\n",
    "ranges": f"{PUBLIC}media: {{udp: 50000-60000, tcp: off}}\nturn: {{relay: 40000-40999, udp: off}}\ndrain: 7d\n",
    "keys": "keys: {source: {key: API, secret: {file: /root/100%.secret}}}\n",
    "variables": f"{PUBLIC}keys: {{source: {{env: [HUB_KEY, HUB_SECRET]}}}}\n",
    "secrets": f"""{PUBLIC}
access:
  modes: [oidc, api-keys]
  oidc: {{issuer: "https://id.example.com", client_id: hub, client_secret: {{file: oidc.secret}}}}
  roles: {{speaker: {{publish: [microphone], rooms: ["voice-*"], ttl: 6h}}}}
store: {{url: "postgresql://lkhub@db.example.com/lkhub", password: {{env: DB_PASSWORD}}}}
turn:
  external:
    - {{url: "turn:turn.example.com:3478", username: ann, credential: {{file: turn.credential}}}}
    - {{url: "turn:turn.example.org:3478", secret: {{file: /etc/turn.secret}}}}
""",
    "builds": f"{PUBLIC}sites: [{{name: a, root: /srv/a/dist, port: 3001, build: npm run build}}]\n",
    "served": f"{PUBLIC}sites: [{{name: a, root: /srv/a, port: 3001}}]\n",
    "agents": "agents: [{name: a, project: /srv/a, command: node agent.js}, {name: b-c, project: b, replicas: 3}]\n",
    "rooms": f"""{PUBLIC}
store: sqlite
rooms:
  - {{match: "voice-*", capacity: 16, overflow: subrooms, empty_timeout: 5m, agents: [{{name: "a ${{b}} \\"c\\""}}]}}
webhooks: [{{url: "https://app.example.com/hook", events: [room_started]}}]
livekit: {{logging: {{level: debug}}}}
drain: 030s
""",
}


def make_plan(spec: str) -> Plan:
    facts = MACHINES["tailnet" if "tailscale" in spec else "vps"]
    return plan_sound(spec, facts, INSTALLED)


@dataclass(frozen=True)
class Configuration:
    """A folder with the rendered files, where Nix evaluates a configuration that imports them."""

    folder: Path

    def evaluate(self, file: str = "hub.nix") -> subprocess.CompletedProcess[str]:
        expression = f"import {MACHINE} {self.folder}/{file}"
        argv = ["nix-instantiate", "--eval", "--strict", "--json", "-E", expression]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    def read(self, file: str = "hub.nix") -> Any:
        done = self.evaluate(file)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def write(self, services: str) -> None:
        """Write `other.nix`, in which a person has written these services by hand."""
        (self.folder / "other.nix").write_text(f"{{ imports = [ ./lkhub.nix ]; services.lkhub = {{ {services} }}; }}\n")


@pytest.fixture(scope="module")
def configure(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def make(spec: str) -> Configuration:
        folder = tmp_path_factory.mktemp("nixos")
        for file in render_nixos(make_plan(spec), Given(MACHINES["vps"].interfaces, spec.encode())):
            (folder / file.name).write_text(file.text)
        return Configuration(folder)

    return make


def list_lines(unit: dict[str, Any]) -> Iterator[str]:
    """The lines that NixOS makes of a unit (nixos/lib/systemd-lib.nix)."""
    names = (("wants", "Wants"), ("after", "After"), ("before", "Before"))
    lists = {name: " ".join(unit[key]) for key, name in names if key in unit}
    wanted_by = {"WantedBy": " ".join(unit["wantedBy"])} if "wantedBy" in unit else {}
    for settings in ({"Description": unit["description"]}, lists, unit["unitConfig"], unit["serviceConfig"], wanted_by):
        for name, value in settings.items():
            for each in value if isinstance(value, list) else [value]:
                yield f"{name}={each}"


def read_lines(unit: str) -> Iterator[str]:
    return (line for line in unit.splitlines() if "=" in line and not line.startswith("#"))


def order(lines: Iterator[str]) -> list[str]:
    """By the key, since Nix sorts what it makes; several lines of one key stay in their order, which filters of system
    calls depend on, and credentials do not."""
    return sorted(lines, key=lambda line: line if line.startswith("LoadCredential") else line.split("=")[0])


@pytest.mark.parametrize("name", SPECS)
def test_unit_is_that_of_systemd_line_by_line(name: str, configure: Any) -> None:
    plan, made = make_plan(SPECS[name]), configure(SPECS[name]).read()
    assert order(list_lines(made["unit"])) == order(read_lines(render_systemd(plan).text))
    units = (*render_agent_units(plan), *render_site_units(plan))
    others = {unit.name.removesuffix(".service"): unit.text for unit in units}
    assert made["others"].keys() == others.keys()
    for unit, text in others.items():
        assert order(list_lines(made["others"][unit])) == order(read_lines(text))


@pytest.mark.parametrize("name", SPECS)
def test_hub_has_the_same_plan(name: str, configure: Any) -> None:
    assert make_plan(configure(SPECS[name]).read()["text"]) == make_plan(SPECS[name])


def test_ports_are_those_of_the_firewall_table(configure: Any) -> None:
    assert configure(SPECS["ranges"]).read()["firewall"] == {
        "allowedTCPPorts": [80, 443],
        "allowedUDPPortRanges": [{"from": 50000, "to": 60000}],
    }


def test_changed_setting_changes_the_unit_without_lkhub(configure: Any) -> None:
    made = configure("")
    made.write('enable = true; python = "/nix/store/x/bin/python"; settings = { name = "other"; drain = "2h"; };')
    unit = made.read("other.nix")["unit"]
    assert unit["description"] == "LiveKit hub other"
    assert unit["serviceConfig"]["TimeoutStopSec"] == 7230
    made.write('enable = true; settings = { drain = "2h"; agents = [ { name = "a"; project = "/srv/a"; } ]; };')
    assert made.read("other.nix")["others"]["lkhub-agent-a"]["serviceConfig"]["TimeoutStopSec"] == 7230
    assert unit["serviceConfig"]["ExecStart"].startswith("/nix/store/x/bin/python -P -m lkhub up ")


def test_hub_that_is_not_enabled_is_no_service(configure: Any) -> None:
    made = configure("")
    made.write('settings.reach = "lan";')
    assert made.read("other.nix")["unit"] is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("media.signal = 70000;", "media.signal' is not of type `null or integer between 1 and 65535"),
        ('drain = "soon";', "drain' is not of type"),
        ('reech = "lan";', "reech' does not exist"),
        ('reach = "home";', "reach' is not of type"),
        ("webhooks = [ { events = [ ]; } ];", "webhooks.[definition 1-entry 1].url' is used but not defined"),
        # The store of Nix is readable by all.
        ('keys.source = { key = "API"; secret = "abc"; };', "keys.source.secret' is not of type"),
        ('store = "postgresql://ann:abc@db/hub";', "store' is not of type"),
        ('redis.url = "redis://:abc@cache";', "redis.url' is not of type"),
    ],
)
def test_wrong_setting_is_refused_with_its_name(settings: str, named: str, configure: Any) -> None:
    made = configure("")
    made.write(f"enable = true; settings = {{ {settings} }};")
    done = made.evaluate("other.nix")
    assert done.returncode == 1
    assert f"ption `services.lkhub.settings.{named}" in done.stderr


@pytest.mark.parametrize(
    ("agents", "refused"),
    [
        ('{ name = "a"; project = "/srv/a"; } { name = "b"; project = "b"; replicas = 2; }', []),
        ('{ name = "a"; image = "a"; }', [0]),
        ('{ name = "a"; project = "/srv/a"; } { name = "b"; image = "b"; } { name = "c"; image = "c"; }', [1, 2]),
    ],
)
def test_agent_that_is_an_image_is_refused_as_everywhere_outside_containers(
    agents: str, refused: list[int], configure: Any
) -> None:
    made = configure("")
    made.write(f"enable = true; settings.agents = [ {agents} ];")
    done = made.evaluate("other.nix")
    told = [line for line in done.stderr.splitlines() if "services.lkhub.settings.agents" in line]
    assert (done.returncode, len(told)) == (1 if refused else 0, len(refused)), done.stderr
    for index, line in zip(refused, told, strict=True):
        assert line.endswith(f"- services.lkhub.settings.agents[{index}].image: {IMAGE_REFUSED}; {IMAGE_FIX}")


def test_a_reader_gets_where_the_guide_leads(tmp_path: Path) -> None:
    follow(ROOT / "docs/guides/nixos.md", Desk(tmp_path))
    made = Configuration(tmp_path / "nixos").read()
    assert json.loads(made["text"]) == {"version": 1, "reach": "lan", "drain": "10m"}
    assert made["unit"]["serviceConfig"]["TimeoutStopSec"] == 630


def test_text_is_what_it_was_in_python(tmp_path: Path) -> None:
    values = {"a b": ['${x} "y" \\ \n\t', -1, 1.5, None, True, [], {}], "let": {"é": "${"}, "é": "''"}
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "-E", write_nix(values)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == values
