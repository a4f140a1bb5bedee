"""Preparing a spec on a laptop, with an engine that accepts every file and without name servers."""

import os
from pathlib import Path

import pytest

from lkhub.findings.fault import SpecError
from lkhub.host.files import ensure_private_dir, write_private
from lkhub.plan.network import LookedUp
from lkhub.prepare import hub as prepare
from lkhub.prepare.hub import PreparedHub, prepare_hub
from lkhub.secret import Secret
from lkhub.spec.keyfile import parse_key_file
from lkhub.wire.engine import ConfigMessage
from tests.machines import make_facts, make_installation

SECRET = "XYZ" * 15

LAN = "reach: lan\n"


class Run:
    """`run("web: 9000")` prepares that spec for a laptop; its state is in `state` of the test's folder."""

    def __init__(self, state: str) -> None:
        self.state = state

    def __call__(self, text: str | None = "", **environ: str) -> PreparedHub:
        if text is not None:
            Path("hub.yaml").write_text(text)
        return prepare_hub(None if text is None else "hub.yaml", self.state, environ)

    def apply(self, text: str) -> PreparedHub:
        """Prepare it, and write its files as the supervisor does."""
        hub = self(text)
        write_files(hub)
        return hub


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What LiveKit's parser would say: text of a line → complaint."""
    found: dict[str, str] = {}

    def check(engine: str, text: str) -> tuple[ConfigMessage, ...]:
        lines = [
            ConfigMessage("bad-value", number, found[line.strip()])
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() in found
        ]
        # As on a machine where the hub has never been up.
        key_file = next(number for number, line in enumerate(text.splitlines(), 1) if "key_file" in line)
        return (ConfigMessage("bad-key-file", key_file, "key_file: no such file or directory"), *lines)

    monkeypatch.setattr(prepare, "check_config", check)
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaints: dict[str, str]) -> Run:
    """An engine that accepts every file, a laptop, and no name servers."""

    monkeypatch.setattr(prepare, "find_installation", lambda state, _: make_installation(state, str(tmp_path)))
    monkeypatch.setattr(prepare, "gather_network", make_facts)
    monkeypatch.setattr(prepare, "look_up", lambda spec, installation, *, ask_domain: LookedUp())
    monkeypatch.chdir(tmp_path)

    return Run(str(tmp_path / "state"))


def refuse(run: Run, text: str, **environ: str) -> list[tuple[int | None, str]]:
    """The faults of a spec; that it changed nothing is checked."""
    with pytest.raises(SpecError) as refused:
        run(text, **environ)
    assert not os.path.exists("state"), "a spec that is wrong changes nothing"
    return [(fault.line, fault.key) for fault in refused.value.faults]


def write_files(hub: PreparedHub) -> None:
    """As the supervisor does."""
    for path, content in hub.files.items():
        ensure_private_dir(os.path.dirname(path))
        write_private(path, content)


def keys_of(hub: PreparedHub) -> dict[str, Secret]:
    """The API keys that the hub's processes read."""
    return parse_key_file(hub.files[hub.plan.paths.keys].encode(), "keys.yaml")
