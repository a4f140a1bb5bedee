"""One-shot programs get no secret from lkhub's environment."""

import ast
from pathlib import Path

import anyio
import pytest

import lkhub
from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host import engine, lookup, router
from lkhub.host.commands import run_command
from lkhub.host.engine import check_config
from lkhub.host.environ import tool_environ
from lkhub.hub import probe as verify
from lkhub.wire.engine import ProbeRequest
from tests.host.test_router import WANTED


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUB_SECRET", "LIVEKIT_API_SECRET", "LIVEKIT_KEYS", "GITHUB_TOKEN", "LCSECRET"):
        monkeypatch.setenv(name, "s3cret")


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine that writes its environment down; where."""
    program = tmp_path / "engine"
    answer = '{"ok": true, "messages": [], "address": "192.0.2.1", "path": "udp", "stage": "media", "detail": ""}'
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/environ\necho '{answer}'\n")
    program.chmod(0o700)
    for module in (engine, router, verify):
        monkeypatch.setattr(module, "bundled_engine", lambda: str(program))
    return tmp_path / "environ"


def test_what_a_program_needs_stays(monkeypatch: pytest.MonkeyPatch, secrets: None) -> None:
    kept = {"PATH": "/bin", "HOME": "/home/me", "LC_ALL": "C", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x", "TZ": "UTC"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    environ = tool_environ()
    assert kept.items() <= environ.items()
    assert "s3cret" not in environ.values()


@pytest.mark.parametrize("run", ["check-config", "stun", "probe", "portmap", "command"])
def test_every_one_of_them_gets_no_more(secrets: None, spy: Path, run: str) -> None:
    if run == "check-config":
        check_config(engine.bundled_engine(), "")
    elif run == "stun":
        lookup._ask_stun(engine.bundled_engine(), "stun.example.com:3478")
    elif run == "probe":
        verify.run_probe(ProbeRequest("ws://127.0.0.1:1", 1000, 0, ()))
    elif run == "portmap":
        with pytest.raises(MachineError):  # this engine knows nothing of routers
            anyio.run(router.map_ports, WANTED)
    else:
        run_command(Command((engine.bundled_engine(),)))
    text = spy.read_text()
    assert "PATH=" in text
    assert "s3cret" not in text


def test_no_program_is_run_with_an_environment_that_was_not_chosen() -> None:
    """Whichever comes next."""
    unchosen = []
    for path in Path(lkhub.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in _STARTERS:
                chosen = [keyword for keyword in node.keywords if keyword.arg == "env"]
                if not chosen or "os.environ" in ast.unparse(chosen[0].value):
                    unchosen.append(f"{path}:{node.lineno}")
    assert unchosen == []


_STARTERS = {
    *(f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")),
    *("os.system", "os.popen", "os.execv", "anyio.run_process", "anyio.open_process"),
}
