"""The files for NixOS. `tests/targets/test_nixos.py` evaluates them."""

import json
import os
import re
from pathlib import Path

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.service import INSTALLED
from lkhub.render.targets.nixos.options import list_secrets
from lkhub.render.targets.nixos.target import render_nixos
from lkhub.render.targets.target import Given
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from tests.machines import MACHINES

VPS = """\
reach: public
domain: rtc.example.com
media: {udp: 50000-50099}
rooms: [{match: "voice-*", capacity: 16}]
"""


def render(spec: str, machine: str = "vps") -> tuple[str, str]:
    """The module, and the hub's configuration."""
    loaded, facts = load_spec(spec.encode()), MACHINES[machine]
    plan = build_plan(loaded, facts, INSTALLED)
    loaded.require_sound()
    assert plan
    module, hub = render_nixos(plan, Given(facts.interfaces, spec.encode()))
    assert (module.name, hub.name) == ("lkhub.nix", "hub.nix")
    return module.text, hub.text


def test_configuration_is_exactly_this() -> None:
    _, hub = render(VPS)
    path = Path(__file__).parents[2] / "golden/units/hub.nix"
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(hub)
    assert hub == path.read_text()


def test_module_is_the_same_for_every_spec_and_has_every_key() -> None:
    module, _ = render(VPS)
    secrets = "drain: 1h\nkeys: {source: {key: API, secret: {file: /root/a.secret}}}\n"
    assert module == render(secrets, "laptop")[0]
    site = "reach: lan\nsites: [{name: a, root: /srv/a/dist, port: 3001, build: make}]\n"
    assert module == render(site, "laptop")[0]
    for key in Spec.model_fields:
        assert f"\n          {key} = mkOption {{" in module
    assert "never booted" in module.splitlines()[0]
    assert not re.findall("@[a-z]+@", module), "every placeholder has its value"


def test_places_of_secrets_are_found() -> None:
    assert ("access", "oidc", "client_secret") in list_secrets(Spec.model_json_schema())
    assert ("turn", "external", "*", "credential") in list_secrets(Spec.model_json_schema())


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("postgresql://db.example.com/hub", True),
        ("postgres://ann@[::1]:5432/hub?sslmode=require", True),
        ("postgresql://ann:secret@db/hub", False),
        ("redis://127.0.0.1:6379", True),
        ("redis://cache:6379/0", True),
        ("rediss://ann@cache", True),
        ("redis://:secret@cache", False),
        ("rediss://ann:secret@cache:6379/0", False),
    ],
)
def test_url_with_a_password_is_no_setting(url: str, taken: bool) -> None:
    """The module writes a setting to the store of Nix. Nix matches the whole text, by POSIX' rules."""
    patterns = [json.loads(each) for each in re.findall(r'strMatching ("(?:[^"\\]|\\.)*")', render("")[0])]
    ours = [each for each in patterns if "://" in each and re.match(each.partition("://")[0] + "://", url)]
    assert ours
    assert all(bool(re.fullmatch(each, url)) is taken for each in ours)
