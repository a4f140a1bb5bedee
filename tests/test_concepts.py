"""The documents that tell how lkhub works name what is there."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from lkhub.plan.process import ProcessPlan

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/concepts/from-spec-to-process.md"


def list_steps() -> list[tuple[str, str]]:
    return re.findall(r"`(\w+)` in `(lkhub/[\w/]+\.py)`", PAGE.read_text())


def list_names(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("function", "path"), list_steps(), ids=lambda value: value)
def test_each_step_is_where_the_page_says(function: str, path: str) -> None:
    assert function in list_names(path)


def test_picture_shows_the_steps_of_the_table() -> None:
    picture = PAGE.read_text().split("```")[1]
    shown = set(re.findall(r"\w+", picture))
    told = {function for function, _ in list_steps()} - {"plan_processes", "look_up", "prepare_hub"}
    assert told <= shown


def test_every_role_is_told() -> None:
    roles = PAGE.read_text().partition("## Roles")[2]
    told = set(
        re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in roles.splitlines() if row.startswith("| `")))
    )
    assert told == {field.name for field in fields(ProcessPlan)} - {"name", "argv"}
