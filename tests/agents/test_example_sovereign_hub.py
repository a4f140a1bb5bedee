"""The sovereign hub with the agent that its README adds: a device of the tailnet hears it in Chromium."""

import json
import shutil
from pathlib import Path

from tests.agents.conftest import add_wheels
from tests.documents import ROOT, list_blocks
from tests.kit.browser import join, launching, profile
from tests.namespaces.examples import copy_example, wait_heard
from tests.namespaces.test_guides import TAILNET_NAME, tailnet
from tests.waiting import wait_until

README = ROOT / "examples/sovereign-hub/README.md"

# Its dependencies are unpacked, and Python compiles them.
INSTALL_SECONDS = 180


def test_device_of_the_tailnet_hears_the_agent(wheels: Path, tmp_path: Path) -> None:
    with tailnet() as scene:
        desk, elsewhere = scene.hub, scene.elsewhere
        assert elsewhere is not None
        desk.folder.chmod(0o711)
        copy_example("sovereign-hub", desk)
        shutil.copytree(ROOT / "examples/bmo/agent", desk.folder / "agent")
        add_wheels(desk.folder / "agent", wheels)
        [added] = [block.text for block in list_blocks(README) if block.language == "yaml"]
        with open(desk.folder / "hub.yaml", "a") as spec:
            spec.write(added)
        desk.type("lkhub up --detach")
        wait_until(
            lambda: [row for row in json.loads(desk.type("lkhub agents list --json"))["agents"] if row["worker"]],
            "the worker",
            INSTALL_SECONDS,
        )
        link = desk.type("lkhub token --room home --name Ann --link").strip()
        assert link.startswith(f"https://{TAILNET_NAME}/join/home#")
        root = Path(desk.environ["SSL_CERT_FILE"])
        with launching(tmp_path, elsewhere.prefix, root) as browser, profile(browser) as context:
            guest = join(context, link, camera=False)
            wait_heard(guest.page, "bmo")
        desk.type("lkhub down --now")
