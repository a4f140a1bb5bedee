"""User data of cloud-init: a golden text, and what follows from a spec."""

import os
from pathlib import Path
from typing import Any

import pytest

from lkhub import __version__
from lkhub.errors import InputError
from lkhub.plan.build import build_plan
from lkhub.plan.elsewhere import imagine_network
from lkhub.plan.service import INSTALLED
from lkhub.render.files import RenderedFile
from lkhub.render.targets.cloud_init import CLOUD_INIT
from lkhub.render.targets.target import Given
from lkhub.source.yaml import parse_plain
from lkhub.spec.load import load_spec
from tests.machines import MACHINES, plan_sound

GOLDEN = Path(__file__).parents[2] / "golden/units/user-data"

TAILNET = "reach: lan\ntls: {mode: tailscale}\n"

SPEC = "# My hub\nreach: public\ndomain: rtc.example.com\n\ndrain: 10m\n"


def render(spec: str) -> RenderedFile:
    loaded = load_spec(spec.encode())
    plan = build_plan(loaded, MACHINES["vps"], INSTALLED)
    loaded.require_sound()
    assert plan
    [file] = CLOUD_INIT.render(plan, Given(spec=spec.encode()), None)
    return file


def read(file: RenderedFile) -> Any:
    assert file.text.startswith("#cloud-config\n")
    data, document = parse_plain(file.text.encode(), "user-data")
    assert document.faults == []
    return data


def test_user_data_are_exactly_this() -> None:
    text = render(SPEC).text.replace(__version__, "VERSION")
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        "",
        "  # indented first\nreach: lan\n",
        "reach: lan",
        "reach: lan\n\n\n",
        "\nreach: lan\n# ü 😀\n",
        "# a line of some readers\x85# another\u2028# one\nreach: lan\n",
        '# \ttab, \\ and "quotes"\nreach: lan\n',
    ],
)
def test_spec_gets_there_as_it_is(spec: str) -> None:
    [file] = read(render(spec))["write_files"]
    assert (file["path"], file["permissions"]) == ("/etc/lkhub/hub.yaml", "0640")
    assert file["content"].strip("\n") == spec.strip("\n")


def test_lines_of_windows_and_its_mark_are_left_out() -> None:
    [file] = read(render("\ufeffreach: lan\r\nname: home\r\n"))["write_files"]
    assert file["content"] == "reach: lan\nname: home\n"


def test_hub_is_installed_where_nothing_is_missing() -> None:
    [script] = read(render(SPEC))["runcmd"]
    assert script.splitlines()[-1] == "/opt/lkhub-setup/bin/lkhub install"


@pytest.mark.parametrize(
    ("spec", "missing", "typed"),
    [
        ("keys: {source: {env: [K, S]}}", "K, S", "K=… S=… /opt/lkhub-setup/bin/lkhub install"),
        ("keys: {source: {file: keys.yaml}}", "/etc/lkhub/keys.yaml", "/opt/lkhub-setup/bin/lkhub install"),
        ("tls: {mode: files, cert: a, key: /b}\nreach: lan", "/etc/lkhub/a, /b", "/opt/lkhub-setup/bin/lkhub install"),
        (f"{SPEC}sites: [{{name: a, root: /srv/a, port: 3001}}]", "/srv/a", "/opt/lkhub-setup/bin/lkhub install"),
        (
            f"{SPEC}sites: [{{name: a, root: /srv/a/dist, port: 3001, build: make}}]",
            "/srv/a",
            "/opt/lkhub-setup/bin/lkhub install",
        ),
    ],
)
def test_user_data_say_what_to_bring_and_to_type(spec: str, missing: str, typed: str) -> None:
    [script] = read(render(spec))["runcmd"]
    lines = script.splitlines()
    assert lines[-1] == f"#   {typed}"
    assert f"is not on a new machine: {missing}." in script
    assert not [line for line in lines if "lkhub install" in line and not line.startswith("#")]


def test_machine_joins_its_tailnet_by_hand() -> None:
    """An auth key in user data could be read by every program of the server."""
    loaded = load_spec(TAILNET.encode())
    plan = plan_sound(TAILNET, imagine_network(loaded.spec), INSTALLED)
    [file] = CLOUD_INIT.render(plan, Given(spec=TAILNET.encode()), None)
    [script] = read(file)["runcmd"]
    assert "is not on a new machine: Tailscale, logged in." in script
    typed = [line.removeprefix("#   ") for line in script.splitlines() if line.startswith("#   ")]
    assert typed == ["tailscale up", "/opt/lkhub-setup/bin/lkhub install", "tailscale set --operator=lkhub"]


def test_spec_with_a_secret_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        render(f"keys: {{source: {{key: APIabc, secret: {'SECRET' * 6}}}}}")
    assert "keys.source" in refused.value.message
    assert "SECRET" not in f"{refused.value.message}{refused.value.hints}"
