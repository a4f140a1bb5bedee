"""The documents can be copied, typed and followed. Checked are README.md, CONTRIBUTING.md, CHANGELOG.md and docs/. A
fenced block names its language:

- `yaml` is a spec, and `yaml hub.yaml` the one that a guide's commands are typed with; `yaml keys` a key file
- `sh` is for a shell, and each `lkhub` in it is a command with options that it has; `sh elsewhere` is typed on another
  machine than the hub's. The blocks of guides are run as well (tests/namespaces/test_guides.py)
- `python` runs, against a hub if it needs one; `js` fits the types of the SDK
- `json` parses (its keys are compared with the code's in test_reference.py)
- `text` is read, not copied
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lkhub.cli.main import app, list_below
from lkhub.plan.build import build_plan
from lkhub.spec.keyfile import parse_key_file
from lkhub.spec.load import load_spec
from tests.documents import BLOCKS, PAGES, ROOT, Block, list_anchors, list_blocks, list_inline
from tests.kit.hub import Hub, make_hub
from tests.machines import INSTALLATION, MACHINES

WEB_PACKAGES = ROOT / "web/node_modules"

SPECS, SHELLS = ("yaml", "yaml hub.yaml"), ("sh", "sh elsewhere")
LANGUAGES = {*SPECS, *SHELLS, "yaml keys", "python", "js", "json", "text", "diff"}

# Of docs/guides/applications.md. tests/browser/test_guide_applications.py runs them, or says why it does not.
PROGRAMS = {"js server.mjs", "js page.js", "python bot.py", "go bot.go", "toml Cargo.toml", "rust main.rs"}
PROGRAMS |= {"swift Call.swift", "kotlin Call.kt", "dart call.dart"}

# Of docs/guides/agents.md. tests/targets/test_compose_images.py builds an image with it.
PROGRAMS |= {"dockerfile"}

# Folders of the repository: code in a sentence may name a path in them.
FOLDERS = ("lkhub", "engine", "web", "tests", "bench", "docs", "scripts", "requirements")

# What ends a command in a shell line.
OPERATORS = {"|", "||", "&&", ";", ">", ">>", "<", "&"}

SAMPLE_SECONDS = 60

JS_OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "noEmit": True,
    "strict": True,
    "noImplicitAny": False,
    "module": "esnext",
    "moduleResolution": "bundler",
    "target": "es2022",
    "skipLibCheck": True,
    "types": list[str](),
}


def blocks_of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=str)


def pages() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages()
def test_every_block_names_a_language_that_is_checked(page: Path) -> None:
    unknown = [str(block) for block in list_blocks(page) if block.language not in LANGUAGES | PROGRAMS]
    assert not unknown


# --- what is copied


@blocks_of("diff")
def test_diff_is_of_files_that_are_there(block: Block) -> None:
    files = [line.removeprefix("--- a/") for line in block.text.splitlines() if line.startswith("--- ")]
    assert files
    assert not [name for name in files if not (ROOT / name).is_file()]
    kept = [line for line in block.text.splitlines() if line.startswith("-") and not line.startswith("--- ")]
    texts = "".join((ROOT / name).read_text() for name in files)
    assert not [line for line in kept if line[1:] not in texts], "what a diff takes out has to be there"


@blocks_of(*SPECS)
def test_yaml_is_a_spec_without_faults(block: Block) -> None:
    # Documentation addresses are not public addresses.
    loaded = load_spec(block.text.replace("203.0.113.", "1.2.3.").encode(), str(block))
    spec = loaded.spec
    machine = "tailnet" if spec.tls.mode == "tailscale" else "home" if spec.reach == "public" else "laptop"
    build_plan(loaded, MACHINES[machine], INSTALLATION)
    loaded.require_sound()


@blocks_of("yaml keys")
def test_key_file_is_accepted(block: Block) -> None:
    assert parse_key_file(block.text.encode(), str(block))


@blocks_of("json")
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


@blocks_of(*SHELLS)
def test_shell_understands_the_block(block: Block) -> None:
    done = subprocess.run(["sh", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@blocks_of(*SHELLS)
def test_every_program_of_the_repository_is_there(block: Block) -> None:
    for words in list_commands(block.text):
        if words[0].startswith("scripts/"):
            assert os.access(ROOT / words[0], os.X_OK), words[0]


@blocks_of(*SHELLS)
def test_every_lkhub_command_is_one_with_these_options(block: Block) -> None:
    for words in list_commands(block.text):
        if Path(words[0]).name == "lkhub":
            run_parser(words[1:])


def list_commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell text, those of `$(…)` too."""
    for line in text.splitlines():
        for part in [*re.findall(r"\$\(([^()]*)\)", line), line]:
            words: list[str] = []
            for word in shlex.split(part, comments=True):
                if word in OPERATORS:
                    if words:
                        yield words
                    words = []
                elif words or not re.match(r"[A-Za-z_]+=", word):
                    words.append(word)
            if words:
                yield words


def run_parser(arguments: list[str]) -> None:
    """Parse the arguments with the command line. The commands do nothing."""

    def disarm(command: Any) -> Any:
        command.callback = lambda **_: None
        for below in list_below(command).values():
            disarm(below)
        return command

    disarm(typer.main.get_command(app))(arguments, standalone_mode=False, prog_name="lkhub")


def test_run_parser_refuses_what_is_not_there() -> None:
    run_parser(["up", "--detach"])
    for wrong in (["upp"], ["up", "--detached"], ["token"], ["logs", "-n", "many"]):
        with pytest.raises(Exception, match=r"(?i)no such|there is no|missing|valid integer"):
            run_parser(wrong)


@blocks_of("js", "js page.js")
def test_js_fits_the_sdk(block: Block, tmp_path: Path) -> None:
    if not (WEB_PACKAGES / ".bin/tsc").exists():
        pytest.skip("the front end's packages are not installed (scripts/test does that)")
    (tmp_path / "node_modules").symlink_to(WEB_PACKAGES)
    (tmp_path / "sample.js").write_text(block.text)
    settings = {"compilerOptions": JS_OPTIONS, "files": ["sample.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    done = subprocess.run([WEB_PACKAGES / ".bin/tsc", "-p", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def needs_hub(block: Block) -> bool:
    return "LIVEKIT_URL" in block.text


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python" and not needs_hub(b)], ids=str)
def test_python_without_a_hub_runs(block: Block) -> None:
    if "livekit import api" in block.text and importlib.util.find_spec("livekit.api") is None:
        pytest.skip("livekit-api is not installed")
    environ = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "0123456789abcdef0123456789abcdef"}
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=SAMPLE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def hub() -> Iterator[Hub]:
    with make_hub() as made:
        yield made


@pytest.mark.integration
@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python" and needs_hub(b)], ids=str)
def test_python_with_a_hub_runs_after_the_shell_block_before_it(block: Block, hub: Hub, tmp_path: Path) -> None:
    """As a reader does it: the last shell block above, then the sample, in one shell."""
    shell = [b.text for b in BLOCKS if b.page == block.page and b.language == "sh" and b.line < block.line][-1]
    (tmp_path / "lkhub").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lkhub "$@"\n')
    (tmp_path / "lkhub").chmod(0o700)
    (hub.folder / "sample.py").write_text(block.text)
    script = f"set -e\n{shell}\n{shlex.quote(sys.executable)} sample.py\n"
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LKHUB_STATE": str(hub.state), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=hub.folder,
        env=os.environ | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SAMPLE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bot is in lobby" in done.stdout


# --- what is followed


@pages()
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in list_inline(page)]
    broken = []
    for target in filter(None, targets):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in list_anchors(file)):
            broken.append(target)
    assert not broken


def test_links_to_livekits_source_are_of_the_version_that_is_built() -> None:
    [built] = re.findall(r"livekit-server (v\S+)", (ROOT / "engine/go.mod").read_text())
    linked = {found for page in PAGES for found in re.findall(r"livekit/livekit/blob/([^/]+)/", page.read_text())}
    assert linked == {built}


@pages()
def test_commands_in_sentences_exist(page: Path) -> None:
    wrong = []
    for token in list_inline(page):
        if token.type == "code_inline" and re.match(r"(\.venv/bin/)?lkhub [a-z]", token.content):
            words = shlex.split(token.content)[1:]
            wrong += [f"{token.content}: {word}" for word in find_unknown(words)]
    assert not wrong


def find_unknown(words: list[str]) -> Iterator[str]:
    """The words that name no command, and the options that the command does not have."""
    if words in (["serve"], ["build-site"]):  # for the supervisor alone, with parsers of their own (lkhub/__main__.py)
        return
    command: Any = typer.main.get_command(app)
    for word in words:
        options = {name for param in command.params for name in param.opts} | {"--help", "-h"}
        if word.startswith("-"):
            if word not in options:
                yield word
        elif below := list_below(command):
            name = word if word in below else getattr(command, "default", None)
            if name is None:
                yield word
                return
            command = below[name]


@pages()
def test_paths_in_sentences_exist(page: Path) -> None:
    code = [token.content.split()[0] for token in list_inline(page) if token.type == "code_inline"]
    paths = [word for word in code if word.startswith(tuple(f"{folder}/" for folder in FOLDERS))]
    # A pattern, a placeholder in capitals, a template: not one path.
    wrong = [path for path in paths if not re.search(r"[*{…]|[A-Z]{2}", path) and not (ROOT / path).exists()]
    assert not wrong


def test_the_tree_of_contributing_shows_every_package() -> None:
    [tree] = [b.text for b in list_blocks(ROOT / "CONTRIBUTING.md") if b.language == "text"]
    shown = re.findall(r"^( *)([\w./]+?)/? {2,}", tree, re.MULTILINE)
    parents: dict[int, str] = {}
    paths = set()
    for indent, name in shown:
        depth = len(indent)
        parents[depth] = name if depth == 0 else f"{parents[0]}/{name}"
        paths.add(parents[depth])
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing
    packages = {str(found.parent.relative_to(ROOT)) for found in ROOT.glob("lkhub/*/__init__.py")}
    assert packages <= paths


@pytest.mark.parametrize("name", ["echochat", "haven"])
def test_example_installs_into_an_environment_of_its_own(name: str) -> None:
    """Debian's and Ubuntu's Python refuse to install into themselves (PEP 668)."""
    text = (ROOT / "examples" / name / "README.md").read_text()
    assert re.findall(r"(\S*)pip\s+install", text) == [".venv/bin/"]
    assert ".venv/" in (ROOT / "examples" / name / ".gitignore").read_text().split()


@pytest.mark.parametrize(("name", "files"), [("echochat", {"hub.key", "server_config.json"}), ("haven", {".env"})])
def test_files_in_which_an_example_keeps_secrets_stay_out_of_git(name: str, files: set[str]) -> None:
    """Neither are they there already, with a mode that lets everybody read what is written into them."""
    folder = ROOT / "examples" / name
    first = next(block for block in list_blocks(folder / "README.md") if block.language == "sh")
    assert set(re.findall(r"(?:--write|>) ([\w.]+)", first.text)) == files
    assert files <= set((folder / ".gitignore").read_text().split())
    tracked = subprocess.run(["git", "ls-files", *files], cwd=folder, check=True, capture_output=True, text=True)
    assert tracked.stdout == ""
