"""Each patch of `drills/` is a recipe of CONTRIBUTING.md carried out. Its test applies the patch to a copy of this
tree, writes the generated files as the recipe says, and runs the tests that are about the change.

A patch that no longer applies: `git apply --reject tests/drills/NAME.patch`, mend what is in the `.rej` files,
`git add --intent-to-add` the new files, and write it again:
`git diff -U1 -- :/ ':!tests/drills' >tests/drills/NAME.patch`. With so little context it applies for long.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents import ROOT

PATCHES = Path(__file__).parent / "drills"

# The most files that one of these changes may need, with its tests and without what commands write.
MOST_FILES = 5

COPIED = ("lkhub", "tests", "docs", "scripts", "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")

GOLDEN, EXAMPLES, DOCS = "pytest tests/test_golden.py", "pytest tests/findings/test_examples.py", "scripts/docs"


@dataclass(frozen=True)
class Drill:
    """`recipes` are headings of CONTRIBUTING.md, `writes` the commands that write the generated files, `tests` what is
    run then besides the tests in the patch."""

    recipes: tuple[str, ...]
    writes: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


KEY = ("tests/test_golden.py", "tests/test_docs.py", "tests/spec/test_references.py")
DRILLS = {
    "secret": Drill(("A secret",), (GOLDEN, DOCS), KEY),
    "process": Drill(("A process", "A secret"), (GOLDEN, DOCS), KEY),
    "finding": Drill(("A finding",), (EXAMPLES, DOCS), ("tests/findings",)),
    "target": Drill(("A target of `lkhub render`",), (DOCS,), ("tests/render/targets",)),
    "record": Drill(("A record on disk",), (), ("tests/host/test_state_directory.py", "tests/plan/test_paths.py")),
}


def read_recipe(heading: str) -> str:
    """The text of a recipe, in one line."""
    [recipe] = re.findall(
        rf"^### {re.escape(heading)}\n(.*?)(?=^##)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return " ".join(recipe.split())


def is_named(path: str, recipe: str) -> bool:
    """Whether a recipe names this file, or a folder above it."""
    for name in re.findall(r"`([^`\s]+)`", recipe):
        pattern = re.escape(name).replace("NAME", "[a-z_]+")
        if re.fullmatch(rf"{pattern}(/.*)?", path):
            return True
    return False


def is_generated(path: Path) -> bool:
    return path.read_text().startswith("<!-- Written by scripts/docs ")


def copy_tree(to: Path) -> Path:
    """A copy of this tree, without what is built. Compiled modules are copied too, which saves seconds."""
    without = shutil.ignore_patterns("node_modules", "assets", "lkhub-engine*")
    for name in COPIED:
        source, target = ROOT / name, to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, ignore=without) if source.is_dir() else shutil.copy2(source, target)
    return to


def list_files(tree: Path) -> dict[str, bytes]:
    files = (path for name in COPIED for path in [tree / name, *(tree / name).rglob("*")] if path.is_file())
    return {str(path.relative_to(tree)): path.read_bytes() for path in files if path.suffix not in (".pyc", ".patch")}


def run(tree: Path, *command: str, **variables: str) -> str:
    """Run a command in a copy of the tree, where it finds that copy's lkhub. Returns stdout."""
    environ = os.environ | {"PYTHONPATH": str(tree), "GIT_CEILING_DIRECTORIES": str(tree.parent)} | variables
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_pytest(tree: Path, *tests: str, **variables: str) -> None:
    """Run tests in a copy of the tree, with a folder for their files that no other session of pytest removes."""
    files = f"--basetemp={tree.parent / 'files'}"
    run(
        tree,
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        files,
        *tests,
        **variables,
    )


def write_generated(tree: Path, command: str) -> None:
    if command == DOCS:
        run(tree, sys.executable, "scripts/docs.py")
    else:
        run_pytest(tree, command.removeprefix("pytest "), REWRITE_GOLDEN="1")


@pytest.mark.field
@pytest.mark.parametrize("name", DRILLS)
def test_recipe_names_every_file_that_its_change_needs(tmp_path: Path, name: str) -> None:
    drill, patch = DRILLS[name], PATCHES / f"{name}.patch"
    tree = copy_tree(tmp_path / "tree")
    before = list_files(tree)
    run(tree, "git", "apply", str(patch))
    by_hand = {path for path, text in list_files(tree).items() if before.get(path) != text}
    for command in drill.writes:
        write_generated(tree, command)
    changed = {path for path, text in list_files(tree).items() if before.get(path) != text}

    recipe = "".join(map(read_recipe, drill.recipes))
    assert f"tests/drills/{name}.patch" in recipe
    assert all(command in recipe for command in drill.writes)
    assert [path for path in changed if not is_named(path, recipe) and not is_generated(tree / path)] == []
    assert 0 < len(by_hand) <= MOST_FILES

    patched = sorted(path for path in by_hand if Path(path).name.startswith("test_"))
    others = [test for test in patched if not test.startswith(drill.tests)]
    run_pytest(tree, *drill.tests, *others, "tests/test_layers.py")
    run(tree, sys.executable, "scripts/docs.py", "--check")


def test_every_patch_has_a_drill() -> None:
    assert {patch.stem for patch in PATCHES.iterdir()} == DRILLS.keys()
