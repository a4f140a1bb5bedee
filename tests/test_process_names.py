"""A process is known by its plan. That its name decides nothing is checked in the code itself."""

import ast
from collections.abc import Iterator

import pytest

from lkhub.plan.processes import PROCESS_NAMES
from tests.documents import ROOT


@pytest.mark.parametrize("package", ["host", "hub", "livekit", "prepare", "service", "state", "supervise"])
def test_no_process_is_known_by_its_name(package: str) -> None:
    """What is done for a process follows from its plan. Texts for people may name one."""
    names = set(PROCESS_NAMES) - {"serve"}  # a subcommand of lkhub, too
    others = {"probe.py"}  # a call's row has the address of a relay under that key
    found = [
        f"{path}:{node.lineno}"
        for path in (ROOT / "lkhub" / package).rglob("*.py")
        if path.name not in others
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.expr | ast.pattern)
        for value in _list_constants(node)
        if value in names
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "name == 'media'",
        "'media' != name",
        "name in ('serve', 'media')",
        "children['media']",
        "children.get('media')",
        "{'media': 1}",
        "match name:\n    case 'serve' | 'media': pass",
    ],
)
def test_name_of_a_process_is_found(code: str) -> None:
    assert "media" in [value for node in ast.walk(ast.parse(code)) for value in _list_constants(node)]


def _list_constants(node: ast.AST) -> Iterator[object]:
    """The constants that something is compared with or looked up by."""
    parts: list[ast.expr] = []
    match node:
        case ast.MatchValue():
            parts = [node.value]
        case ast.Compare():
            parts = [node.left, *node.comparators]
        case ast.Subscript():
            parts = [node.slice]
        case ast.Call():
            parts = node.args if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop") else []
        case ast.Dict():
            parts = [key for key in node.keys if key is not None]
    for part in parts:
        inner = part.elts if isinstance(part, ast.Tuple | ast.List | ast.Set) else [part]
        yield from (each.value for each in inner if isinstance(each, ast.Constant))
