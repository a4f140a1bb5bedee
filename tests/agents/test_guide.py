"""The guide of agents, typed."""

from pathlib import Path

from tests.agents.conftest import write_project
from tests.documents import ROOT
from tests.kit.guide import follow, sit_down
from tests.kit.netns import connect, namespace


def test_a_reader_gets_where_the_guide_leads(wheels: Path) -> None:
    # libwebrtc needs an interface besides loopback.
    with namespace("machine") as machine, namespace("other") as other:
        connect(machine, other, "eth0")
        machine.add_address("eth0", "198.18.8.1/24")
        with sit_down(machine, {"OPENAI_API_KEY": "not-a-real-one"}) as desk:
            desk.folder.chmod(0o711)
            write_project(desk.folder / "agent", wheels)
            follow(ROOT / "docs/guides/agents.md", desk)
