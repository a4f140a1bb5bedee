"""Documents that go from one function to the next have types. A mapping of anything needs its reason beside it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent / "lkhub"

# What turns foreign text and messages into types begins without them.
UNTYPED = ("wire", "source")

MAPPINGS = {"dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict"}


def find_untyped(source: str) -> list[int]:
    """The lines with a mapping from text to Any that give no reason in a comment."""
    lines = source.splitlines()
    found = {node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.expr) and _is_untyped(node)}
    return sorted(number for number in found if "  # " not in lines[number - 1])


def _is_untyped(node: ast.expr) -> bool:
    match node:
        case ast.Subscript(value=kind, slice=ast.Tuple(elts=[_, value])):
            return ast.unparse(kind).rpartition(".")[2] in MAPPINGS and ast.unparse(value).rpartition(".")[2] == "Any"
        case ast.Constant(value=str() as text) if "Any]" in text:  # an annotation in quotes
            try:
                return any(isinstance(each, ast.expr) and _is_untyped(each) for each in ast.walk(ast.parse(text)))
            except SyntaxError:
                return False
    return False


def test_mappings_of_anything_say_why() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in UNTYPED
        for line in find_untyped(path.read_text())
    ]
    assert found == []


def test_a_mapping_of_anything_is_found() -> None:
    for line in (
        "x: dict[str, Any] = {}",
        "def f(x: Mapping[str, Any]) -> None: ...",
        "def f() -> list[dict[str, typing.Any]]: ...",
        "x: 'dict[str, Any]'",
        "X = dict[int, Any]",
        "class X(dict[str, Any]): ...",
        "x: collections.abc.Mapping[str, Any] | None",
    ):
        assert find_untyped(line) == [1], line
    for line in (
        "x: dict[str, object] = {}",
        "x: dict[str, Any] = {}  # Caddy's own keys",
        "x: dict[str, Code[Any]]",
        "x: tuple[Any, ...]",
        "'no annotation: Any]'",
    ):
        assert find_untyped(line) == [], line
