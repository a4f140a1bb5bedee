"""Golden pairs: a spec, and its exact results. A file of `golden/` is the text of a spec, then parts, each under a line
`---------- NAME`:

- `given machine`: a name of `tests.machines.MACHINES` (default: laptop)
- `given env`: variables, one `NAME=VALUE` a line
- `given parts`: the expected parts that the case is about (default: all)
- `given FILE`: a file beside the spec
- every other part is expected: the rendered files, `notes` and `warnings`; or `faults`, the whole error

`REWRITE_GOLDEN=1 pytest tests/test_golden.py` writes the expected parts anew; read the difference before it
is committed.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.findings.fault import SpecError
from lkhub.plan.build import build_plan
from lkhub.prepare.secrets import resolve_keys, resolve_secrets
from lkhub.render.all import render_all
from lkhub.render.proxy.all import render_proxy
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES

FOLDER = Path(__file__).parent / "golden"
CASES = sorted(FOLDER.glob("*/*.txt"))

HEAD = re.compile(r"^-{10} (.+)\n", re.MULTILINE)


def read_parts(text: str) -> tuple[str, dict[str, str]]:
    """The spec, and the parts by name."""
    spec, *rest = HEAD.split(text)
    return spec, dict(zip(rest[::2], rest[1::2], strict=True))


def join(parts: dict[str, str]) -> str:
    """The text of parts, in the form of a case."""
    return "".join(f"---------- {name}\n{text}" for name, text in parts.items())


def judge(spec: str, given: dict[str, str], folder: Path) -> dict[str, str]:
    """The results of lkhub for the spec: parts by name. Files of `given` are written to `folder`."""
    wanted = given.pop("parts", "").split()
    environ = dict(line.split("=", 1) for line in given.pop("env", "").splitlines())
    facts = MACHINES[given.pop("machine", "laptop").strip()]
    for name, text in given.items():
        (folder / name).write_text(text)
    loaded = load_spec(spec.encode())
    plan = build_plan(loaded, facts, INSTALLATION)
    if loaded.spec.keys.source != "managed":
        resolve_keys(loaded, resolve_secrets(loaded, str(folder), environ), INSTALLATION.paths)
    try:
        loaded.require_sound()
    except SpecError as error:
        return {"faults": error.message.replace(str(folder), "FOLDER") + "\n"}
    assert plan is not None
    if plan.edge and plan.edge.tls.mode == "internal":
        # The value that `prepare` makes from the root that the hub generated.
        plan = replace(plan, edge=replace(plan.edge, authority="lkhub-0123456789ab"))
    files = [*render_all(plan)]
    if plan.edge and plan.edge.tls.mode == "external":
        files += render_proxy(plan, plan.edge)
    parts = {file.name: file.text for file in files}
    said = {"notes": plan.notes, "warnings": plan.warnings}
    parts |= {name: "".join(f"{finding.sentence}\n" for finding in found) for name, found in said.items() if found}
    assert set(wanted) <= {*parts, *said}
    return {name: text for name, text in parts.items() if name in wanted or not wanted}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_spec_gives_exactly_this(case: Path, tmp_path: Path) -> None:
    spec, parts = read_parts(case.read_text())
    given = {name.removeprefix("given "): text for name, text in parts.items() if name.startswith("given ")}
    found = judge(spec, dict(given), tmp_path)
    if os.environ.get("REWRITE_GOLDEN"):
        kept = {f"given {name}": text for name, text in given.items()}
        case.write_text(spec + join(kept | found))
        return
    expected = {name: text for name, text in parts.items() if not name.startswith("given ")}
    assert join(found) == join(expected)


def test_golden_folders_have_cases() -> None:
    assert {case.parent.name for case in CASES} == {"hubs", "faults", "keys"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_no_case_shows_a_secret(case: Path) -> None:
    """Secrets of the cases are words that contain SECRET: they are in the given parts, and never in the results."""
    _, parts = read_parts(case.read_text())
    expected = "".join(text for name, text in parts.items() if not name.startswith("given "))
    assert not re.findall(r"\S*SECRETSECRET\S*", expected)
