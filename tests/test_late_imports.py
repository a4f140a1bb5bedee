"""An import inside a function says how much time or memory it saves."""

import ast
import re
from pathlib import Path

import pytest

import lkhub

# Time or memory that an import inside a function saves elsewhere.
FIGURE = re.compile(r"\d (ms|KB|MiB)\b")


def find_late_imports(source: str) -> list[int]:
    """Lines of the first import of each run of imports inside functions, where no comment above has a figure."""
    lines = source.splitlines()
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {n.lineno for f in functions for n in ast.walk(f) if isinstance(n, ast.Import | ast.ImportFrom)}
    unexplained = []
    for line in sorted(inside):
        above = line - 1
        while above in inside or not lines[above - 1].strip():
            above -= 1
        comment = []
        while lines[above - 1].strip().startswith("#"):
            comment.append(lines[above - 1])
            above -= 1
        if not FIGURE.search(" ".join(comment)):
            unexplained.append(line)
    return unexplained


@pytest.mark.parametrize("path", sorted(Path(lkhub.__file__).parent.rglob("*.py")), ids=lambda path: path.stem)
def test_import_inside_a_function_says_what_it_saves(path: Path) -> None:
    """Start time is the one reason for it."""
    assert not find_late_imports(path.read_text())


def test_late_import_without_a_figure_is_found() -> None:
    body = "def f():\n    {}\n    import os\n\n    from sys import argv\n"
    assert find_late_imports(body.format("# It costs 20 ms.")) == []
    assert find_late_imports(body.format("# It costs much.")) == [3, 5]
