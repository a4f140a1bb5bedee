"""Golden pairs of `firewall/`: a spec and the machine it is for, and every form of its firewall table.

`REWRITE_GOLDEN=1 pytest tests/render/firewall/test_all.py` writes the expected parts anew; read the difference.
"""

import json
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkhub.firewall.table import FirewallTable, firewall_table
from lkhub.plan.build import build_plan
from lkhub.render.firewall.all import FORMS, render_firewall
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES
from tests.test_golden import join, read_parts

FOLDER = Path(__file__).parent
CASES = sorted(FOLDER.glob("*.txt"))


def read_case(case: Path) -> tuple[str, dict[str, str], FirewallTable]:
    spec, parts = read_parts(case.read_text())
    facts = MACHINES[parts["given machine"].strip()]
    loaded = load_spec(spec.encode())
    plan = build_plan(loaded, facts, INSTALLATION)
    loaded.require_sound()
    assert plan is not None
    return spec, parts, firewall_table(plan, facts.interfaces)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_spec_gives_exactly_this_table(case: Path) -> None:
    spec, parts, table = read_case(case)
    found = {file.name: file.text for file in render_firewall(table)}
    given = {name: text for name, text in parts.items() if name.startswith("given ")}
    if os.environ.get("REWRITE_GOLDEN"):
        case.write_text(spec + join(given | found))
        return
    assert join(given | found) == join(parts)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_files_are_what_their_readers_read(case: Path) -> None:
    _, _, table = read_case(case)
    for file in render_firewall(table):
        if file.name.endswith(".json"):
            assert len(json.loads(file.text)) == len(table.rows)
        elif file.name.endswith(".xml"):
            assert ElementTree.fromstring(file.text).tag == "service"
        elif file.name.endswith(".sh"):
            assert file.mode == 0o755
            subprocess.run(["sh", "-n"], input=file.text, text=True, check=True)


def test_no_form_names_a_port_that_stays_closed() -> None:
    cases = [read_case(case)[2] for case in CASES]
    assert any(table.rows for table in cases)
    for table in cases:
        rows = [file.text for name, form in FORMS.items() if name != "text" for file in form(table)]
        for closed in table.closed:
            if not any(row.ports.overlaps(closed.ports) for row in table.rows):
                assert not any(str(closed.ports.start) in text for text in rows)


def test_every_form_has_files_of_its_own() -> None:
    _, _, table = read_case(FOLDER / "bmo.txt")
    names = [file.name for form in FORMS.values() for file in form(table)]
    assert len(names) == len(set(names))
