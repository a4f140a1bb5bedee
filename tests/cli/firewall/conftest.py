"""A machine with firewalls and a router, as `lkhub firewall` sees it."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lkhub.cli import firewall
from lkhub.cli.shared import firewall_router
from lkhub.firewall.change import Found
from lkhub.firewall.firewalld import Added
from lkhub.firewall.table import Step
from lkhub.prepare import hub as prepare
from lkhub.state.router import Mapping, RouterRecord
from tests.cli.conftest import Run
from tests.machines import MACHINES
from tests.plan.rulesets import ruleset

LAN = "reach: lan\n"
PUBLIC = "reach: public\ndomain: rtc.example.com\nmedia: {advertise: 1.2.3.4}\n"
DROPS = Found(ruleset=ruleset(policy="drop"))
OPEN = Found(ruleset=ruleset())


class Machine:
    """The firewalls that are found, before and after a change, and the steps that were carried out."""

    def __init__(self) -> None:
        self.found: list[Found | Exception] = [OPEN]
        self.steps: list[str] = []
        self.fails: Exception | None = None

    def gather(self, interfaces: Iterable[str], recorded: Iterable[Added] = ()) -> Found:
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return found

    def carry_out(self, steps: Iterable[Step]) -> None:
        if self.fails:
            raise self.fails
        self.steps += [str(step.do) for step in steps]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(firewall, "gather_firewalls", made.gather)
    monkeypatch.setattr(firewall, "carry_out", made.carry_out)
    return made


@pytest.fixture
def spec(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes hub.yaml; `run` has made the folder. The machine is a laptop, whatever this one is."""

    monkeypatch.setattr(prepare, "gather_network", lambda: MACHINES["laptop"])

    def write(text: str) -> None:
        Path("hub.yaml").write_text(text)

    return write


Spec = Callable[[str], None]


def record(external: str = "1.2.3.4", until: float | None = 1_900_000_000.0) -> RouterRecord:
    mappings = (Mapping("udp", 7882, "x", 1_800_000_000.0, until),)
    return RouterRecord("192.168.1.1", "192.168.1.5", "upnp", "", mappings, external)


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> list[RouterRecord]:
    """The record made from the router's answer; the request is not checked."""
    answers = [record()]

    async def answer(wanted: list[object], old: RouterRecord | None) -> RouterRecord:
        return answers[-1]

    async def forget(given: RouterRecord) -> None:
        answers.clear()

    monkeypatch.setattr(firewall_router, "map_ports", answer)
    monkeypatch.setattr(firewall_router, "unmap_ports", forget)
    monkeypatch.setattr(firewall_router, "_is_behind_nat", lambda plan: True)
    return answers
