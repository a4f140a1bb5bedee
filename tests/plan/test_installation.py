"""A plan for another machine: built and rendered only from descriptions, without facts of this machine."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from lkhub.plan.build import build_plan
from lkhub.plan.installation import Installation
from lkhub.plan.model import Plan
from lkhub.plan.network import NetworkFacts
from lkhub.plan.paths import StatePaths
from lkhub.render.all import render_all
from lkhub.render.targets.all import TARGETS
from lkhub.render.targets.target import Given
from lkhub.spec.load import load_spec
from tests.machines import LOOPBACK, interface, make_installation

# Where a package would install lkhub. None of it is on this machine.
PACKAGED = Installation(
    engine="/usr/lib/lkhub/lkhub-engine",
    python="/usr/lib/lkhub/venv/bin/python3",
    state="/var/lib/lkhub",
    folder="/etc/lkhub",
    user="lkhub",
)
SERVER = NetworkFacts((LOOPBACK, interface("ens3", "lan", "1.2.3.4/24", "2600::4/64")), ("ens3",))
SPEC = b"""
reach: public
domain: rtc.example.com
tls: {mode: files, cert: fullchain.pem, key: /srv/keys/privkey.pem}
turn: {external: [{url: "turn:other.example.com", secret: {file: coturn.secret}}]}
"""

# What touches the machine, by the names of Python's audit events. `open` is a file of any kind.
FORBIDDEN = ("open", "os.", "socket.", "subprocess.", "shutil.", "glob.", "pathlib.", "tempfile.", "fcntl.", "ctypes.")
is_guarded: ContextVar[bool] = ContextVar("is_guarded", default=False)


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if is_guarded.get() and event.startswith(FORBIDDEN):
        is_guarded.set(False)  # what reports the failure reads files
        raise AssertionError(f"{event} {arguments}")


@contextmanager
def guard_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within it an access to a file, a socket or a program fails, and so does a question about a path."""
    sys.addaudithook(audit)  # for good: it does nothing outside of the guard

    def refuse(*arguments: Any, **_: Any) -> Any:
        raise AssertionError(f"stat {arguments}")  # of which there is no audit event

    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "access", "getcwd", "readlink"):
            patch.setattr(os, name, refuse)
        token = is_guarded.set(True)
        try:
            yield
        finally:
            is_guarded.reset(token)


def build(installation: Installation, network: NetworkFacts = SERVER) -> Plan:
    loaded = load_spec(SPEC)
    plan = build_plan(loaded, network, installation)
    loaded.require_sound()
    assert plan is not None
    return plan


def render(plan: Plan) -> dict[str, str]:
    return {file.name: file.text for file in render_all(plan)}


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Modules that are imported at the first use."""
    render(build(make_installation()))
    for name in ("livekit", "caddy", "firewall"):
        TARGETS[name].render(build(make_installation()), Given(SERVER.interfaces), None)


def test_guard_sees_what_touches_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    touches: list[Callable[[], object]] = [
        lambda: open(os.devnull),  # noqa: SIM115
        lambda: os.listdir("/"),
        lambda: os.path.exists("/"),
        lambda: os.path.abspath("here"),
        lambda: socket.socket(),
    ]
    for touch in touches:
        with pytest.raises(AssertionError), guard_machine(monkeypatch):
            touch()


def test_plan_for_another_machine_is_made_without_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with guard_machine(monkeypatch):
        plan = build(PACKAGED)
        files = render(plan)
        targets = {
            name: TARGETS[name].render(plan, Given(SERVER.interfaces), None)
            for name in ("livekit", "caddy", "firewall")
        }
    assert plan.installation == PACKAGED
    assert {process.name: process.argv for process in plan.processes} == {
        "media": engine_argv("media", "livekit.yaml"),
        "relay": engine_argv("relay", "relay.json"),
        "serve": (PACKAGED.python, "-P", "-m", "lkhub", "serve", "--config", "/var/lib/lkhub/rendered/serve.json"),
        "edge": engine_argv("edge", "caddy.json"),
    }
    assert set(files) == {"livekit.yaml", "relay.json", "serve.json", "caddy.json"}
    assert "key_file: /var/lib/lkhub/keys.yaml" in files["livekit.yaml"]
    assert "secret_file: /var/lib/lkhub/rendered/turn-1.secret" in files["livekit.yaml"]
    assert "node_ip: 1.2.3.4,2600::4" in files["livekit.yaml"]
    assert '"keys": "/var/lib/lkhub/keys.yaml"' in files["serve.json"]
    assert "/etc/lkhub/fullchain.pem" in files["caddy.json"]
    assert "/srv/keys/privkey.pem" in files["caddy.json"]
    assert targets["livekit"][0].text == files["livekit.yaml"]
    assert targets["caddy"][0].text == files["caddy.json"]
    assert any("7882" in file.text for file in targets["firewall"])


def engine_argv(program: str, config: str) -> tuple[str, ...]:
    state = "/var/lib/lkhub"
    control = f"{state}/run/{program}.sock"
    return (PACKAGED.engine, program, "--config", f"{state}/rendered/{config}", "--control", control)


def test_nothing_of_this_machine_is_in_what_is_rendered_for_another() -> None:
    text = repr(build(PACKAGED)) + "".join(render(build(PACKAGED)).values())
    for here in (sys.executable, sys.prefix, os.getcwd(), os.path.expanduser("~")):
        assert len(here) < 3 or here not in text, here


@pytest.mark.parametrize("change", [{"engine": "/nix/store/x/engine"}, {"python": "/x/python"}, {"state": "/srv/hub"}])
def test_installation_changes_paths_and_no_decision(change: dict[str, Any]) -> None:
    elsewhere = replace(PACKAGED, **change)
    plan, other = build(PACKAGED), build(elsewhere)
    assert other != plan
    [(name, path)] = change.items()
    said, there = repr(plan), repr(other)
    assert there.replace(path, getattr(PACKAGED, name)) == said


def test_relative_paths_of_the_spec_start_from_its_folder() -> None:
    assert PACKAGED.beside_spec("./cert.pem") == "/etc/lkhub/cert.pem"
    assert PACKAGED.beside_spec("/cert.pem") == "/cert.pem"
    assert PACKAGED.paths == StatePaths("/var/lib/lkhub")
