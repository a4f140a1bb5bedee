"""BMO, from its files to a call: its page in Chromium hears its agent."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.agents.conftest import add_wheels
from tests.documents import ROOT
from tests.kit.browser import launching, profile
from tests.kit.guide import Desk, is_among, sit_down
from tests.kit.netns import Namespace, connect, namespace
from tests.namespaces.examples import wait_heard
from tests.waiting import wait_until

EXAMPLE = ROOT / "examples/bmo"

ADDRESS, PUBLIC = "198.18.9.1", "1.2.3.4"

# npm would contact a registry: the front end's packages are those of lkhub's own.
NPM = """#!/bin/sh
case "$*" in
"ci --ignore-scripts") exit 0;;
"run build") exec node node_modules/vite/bin/vite.js build;;
esac
exit 1
"""


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with namespace("machine") as machine, namespace("other") as other:
        connect(machine, other, "eth0")
        machine.add_address("eth0", f"{ADDRESS}/24")
        yield machine


@pytest.fixture
def npm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Builds are another user's, who can't read the desk's own programs."""
    with tempfile.TemporaryDirectory(prefix="npm-") as folder:
        program = Path(folder, "npm")
        program.write_text(NPM)
        for path in (Path(folder), program):
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        yield


@pytest.fixture
def desk(machine: Namespace, wheels: Path, npm: None) -> Iterator[Desk]:
    """A shell in a copy of the example, whose packages are there already. Agents and builds have users of their own."""
    with sit_down(machine) as desk:
        desk.folder.chmod(0o711)
        shutil.copytree(EXAMPLE, desk.folder, dirs_exist_ok=True)
        add_wheels(desk.folder / "agent", wheels)
        copy_packages(desk.folder / "frontend/node_modules")
        yield desk


def copy_packages(to: Path) -> None:
    """The packages of the example's lock file, those for other systems left out."""
    lock = json.loads((EXAMPLE / "frontend/package-lock.json").read_text())
    for path in lock["packages"]:
        name = path.removeprefix("node_modules/")
        if name and (ROOT / "web" / path).is_dir():
            shutil.copytree(ROOT / "web" / path, to / name, symlinks=True, dirs_exist_ok=True)


def test_ports_are_those_of_the_readme(machine: Namespace, desk: Desk) -> None:
    machine.add_address("eth0", f"{PUBLIC}/24")
    (desk.folder / "frontend/dist").mkdir()
    printed = desk.type("lkhub render firewall")
    text = (EXAMPLE / "README.md").read_text()
    table = text.partition("```text\n")[2].partition("```")[0]
    missing = [line for line in table.splitlines() if not is_among(line, printed)]
    assert not missing, printed
    opened, _, closed = printed.partition("not to be opened")
    assert [line.split()[0] for line in opened.splitlines()[2:] if line.strip()] == [
        line.split()[0] for line in table.splitlines()[2:]
    ]
    assert "7880/tcp" in closed


def test_page_hears_the_agent(machine: Namespace, desk: Desk, tmp_path: Path) -> None:
    """As in production, but for the two names and the public authority."""
    spec = desk.folder / "hub.yaml"
    changed = spec.read_text()
    for before, after in (
        ("reach: public\ndomain: rtc.example.com\ntls: {email: ops@example.com}\n", "reach: lan\n"),
        ("    domain: bmo.example.com\n", ""),
    ):
        assert before in changed
        changed = changed.replace(before, after)
    spec.write_text(changed)
    desk.type("lkhub up --detach")
    root = Path(desk.environ["LKHUB_STATE"]) / "ca/root.crt"
    with launching(tmp_path, machine.prefix, root) as browser, profile(browser) as context:
        page = context.new_page()
        page.goto(f"https://{ADDRESS}:3001/")
        page.get_by_role("button", name="Talk to BMO").click()
        expect(page.get_by_role("status")).to_have_text("BMO is here", timeout=180_000)
        wait_heard(page, "BMO")
        page.screenshot(path=tmp_path / "bmo.png")
        [agent] = json.loads(desk.type("lkhub agents list --json"))["agents"]
        os.kill(agent["process"]["pid"], signal.SIGKILL)
        expect(page.get_by_role("status")).to_have_text("BMO is away for a moment")
        expect(page.get_by_role("status")).to_have_text("BMO is here", timeout=180_000)
        wait_heard(page, "BMO")
    desk.type("lkhub down --now")


def test_development_is_one_command(desk: Desk) -> None:
    desk.type("lkhub up --detach --spec dev.yaml")
    wait_until(lambda: '"free": true' in desk.type("lkhub agents list --json"), "the worker", 180)
    assert desk.type("lkhub env").count("devkey") == 1
    desk.type("lkhub down --now")
