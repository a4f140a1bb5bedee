"""Each code is declared once, by a documented function of the same name, and is in the table of all codes."""

import ast
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lkhub
from lkhub.findings import catalogue
from lkhub.findings.catalogue.all import CODES, SUBJECTS, list_codes
from lkhub.findings.declare import Code, Says, declare
from tests.documents import ROOT


def port_taken(port: int) -> Says:
    """A port is taken.

    **Why.** Another program has it.
    """
    return Says(f"port {port} is taken", "another program has it")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("port taken", port_taken),
        ("Port-taken", port_taken),
        ("port_taken", port_taken),
        ("port-", port_taken),
        ("", port_taken),
        ("port-lost", port_taken),
    ],
)
def test_name_that_is_no_code_cannot_be_declared(name: str, says: Callable[..., Says]) -> None:
    with pytest.raises(ValueError):
        declare(name, "error")(says)


def test_code_cannot_be_declared_twice() -> None:
    first, second = ModuleType("first"), ModuleType("second")
    vars(first)["port_taken"] = code = declare("port-taken", "error")(port_taken)
    assert list_codes([first]) == {"port-taken": code}
    vars(second)["port_taken"] = code
    assert list_codes([first, second]) == {"port-taken": code}, "imported there"
    vars(second)["port_taken"] = declare("port-taken", "warning")(port_taken)
    with pytest.raises(ValueError, match="port-taken is declared twice"):
        list_codes([first, second])


def test_table_has_every_file_of_the_catalogue() -> None:
    files = {module.name for module in pkgutil.iter_modules(catalogue.__path__)}
    assert files - {"all"} == {subject.__name__.rpartition(".")[2] for subject in SUBJECTS}


def test_finding_has_what_its_code_says() -> None:
    code = declare("port-taken", "error", warning="where it is free soon")(port_taken)
    finding = code(port=443).about("edge", detail="seen")
    assert (finding.severity, finding.title, finding.detail) == ("error", "port 443 is taken", "seen")
    assert finding.cause == "another program has it"
    assert code(443).about("edge", severity="warning", cause="nginx has it").cause == "nginx has it"
    with pytest.raises(ValueError, match="port-taken is never of severity info"):
        code(443).about("edge", severity="info")


def test_documentation_begins_with_the_severities() -> None:
    always = declare("port-taken", "error")(port_taken)
    assert always.docs == "*Error.* A port is taken.\n\n**Why.** Another program has it."
    sometimes = declare("port-taken", "warning", error="once it has", info="at night")(port_taken)
    assert sometimes.docs.startswith("*Warning*, *error* once it has, *info* at night. A port is taken.")
    from_on = declare("port-taken", "warning", "from 3 on")(port_taken)
    assert from_on.docs.startswith("*Warning* from 3 on. A port")


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_documentation_says_why_and_what_to_do(code: Code[Any]) -> None:
    """Each section has three parts, as each page of `lkhub explain` does. A missing docstring is found here, and not
    when the code is declared: `python -OO` removes all docstrings."""
    assert code.says.__doc__
    assert "**Why.**" in code.docs
    assert "**What to do.**" in code.docs


def test_every_finding_is_made_by_a_code() -> None:
    """So each finding has a declared code, and documentation."""
    makers = [
        str(file.relative_to(ROOT))
        for file in sorted(Path(lkhub.__path__[0]).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Finding"
    ]
    assert makers == ["lkhub/findings/declare.py"]
