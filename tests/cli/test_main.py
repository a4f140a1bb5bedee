"""Exit codes, and which output goes to stdout or stderr."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lkhub
from lkhub.cli import main as main_module
from lkhub.errors import HubError, InputError, MachineError, UnwellError
from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("error", "code"),
    [(UnwellError("a"), 1), (InputError("a"), 2), (MachineError("a"), 3), (HubError("a"), 1)],
    ids=repr,
)
def test_error_ends_with_its_exit_code_and_nothing_on_stdout(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: HubError, code: int
) -> None:
    error.hints = ("do this", "or that")

    def fail() -> None:
        raise error

    monkeypatch.setattr(main_module, "app", fail)
    done = run("status")
    assert (done.code, done.out) == (code, "")
    assert done.err == "error: a\n\nhint: do this\nhint: or that\n"


def test_bug_is_exit_70_and_shows_where_but_not_what(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an unexpected error says may hold a secret."""

    def fail() -> None:
        secret = "JQZ" + "JQZ"
        raise RuntimeError(secret)

    monkeypatch.setattr(main_module, "app", fail)
    done = run("status")
    assert (done.code, done.out) == (70, "")
    assert "JQZJQZ" not in done.err
    assert "RuntimeError" in done.err
    assert "test_main.py" in done.err


def test_error_that_wraps_others_is_still_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ExceptionGroup("group", [RuntimeError("JQZJQZ")])

    monkeypatch.setattr(main_module, "app", fail)
    assert run("status").code == 70


def test_markup_in_an_error_is_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise InputError("no file [/tmp/x] [bold]")

    monkeypatch.setattr(main_module, "app", fail)
    assert "no file [/tmp/x] [bold]" in run("status").err


WRONG_USAGE = (
    ["nonsense"],
    ["up", "--nonsense"],
    ["token"],
    ["logs", "-n", "0"],
    ["logs", "-n", "many"],
    ["logs", "nobody"],
    ["env", "--format", "xml"],
    ["init", "--reach", "everywhere"],
    ["render", "nonsense", "-o", "x"],
    ["render"],
    ["render", "proxy", "--for", "apache"],
    ["render", "firewall", "--format", "xml"],
    ["verify", "--path", "pigeon"],
    ["verify", "--token-file", "x"],
    ["up", "--spec", "nowhere.yaml"],
    ["up", "--spec", "."],
    ["render", "livekit", "-o", "x", "--spec", "nowhere.yaml"],
    ["serve"],
    ["serve", "--nonsense"],
    ["serve", "--config", "nowhere.json"],
)


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_exit_2_and_changes_nothing(run: Run, paths: StatePaths, arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.strip()
    assert "bug" not in done.err
    assert not os.path.exists(paths.root)
    assert os.listdir(".") == []


@pytest.mark.parametrize("command", ["env", "verify", "token"])
def test_hub_that_was_never_up_has_a_remedy(run: Run, command: str) -> None:
    done = run(command, *(["--room", "a", "--identity", "b"] if command == "token" else []))
    assert (done.code, done.out) == (3, "")
    assert "`lkhub up` starts it" in done.err


def test_hub_that_does_not_run_is_not_well_and_can_be_stopped(run: Run) -> None:
    assert run("restart").code == 1
    assert run("status").code == 1
    assert run("down").code == 0


BAD_SPECS = {
    "unknown key": b"nonsense: 1\n",
    "not utf-8": b"name: \xff\n",
    "bomb": b"livekit: &a {b: *a}\n",
    "10 MB": b"name: hub\n" * 1_000_000,
    "reference to nowhere": b"keys: {source: {file: nowhere.yaml}}\n",
    "missing program": b"engine: ./nowhere\n",
    "empty program": b'engine: ""\n',
    "folder as program": b"engine: /usr\n",
    "impossible program": b'engine: "a\\0b"\n',
    "somebody else's address": b"reach: lan\nmedia: {advertise: 192.0.2.77}\n",
    "huge number": b"name: 0x" + b"f" * 5000,
    "odd tag": b"name: !!bool x\n",
}


@pytest.mark.parametrize("name", BAD_SPECS)
@pytest.mark.parametrize("command", [["up"], ["up", "--detach"], ["render", "livekit", "-o", "out"]], ids=" ".join)
def test_bad_spec_is_exit_2_and_changes_nothing(run: Run, paths: StatePaths, name: str, command: list[str]) -> None:
    Path("hub.yaml").write_bytes(BAD_SPECS[name])
    done = run(*command)
    assert (done.code, done.out) == (2, "")
    assert "hub.yaml" in done.err
    assert "bug" not in done.err
    assert not os.path.exists(paths.root)
    assert os.listdir(".") == ["hub.yaml"]


def test_half_a_character_can_be_printed(tmp_path: Path) -> None:
    """A process of its own: a test's stderr is stricter than a real one."""
    (tmp_path / "hub.yaml").write_bytes(b'engine: "\\ud800"\nmedia: {interfaces: ["\\ud800", "\\e[2J"]}\n')
    argv = [sys.executable, "-m", "lkhub", "up", "--state", str(tmp_path / "state")]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"3 faults" in done.stderr
    assert b"\x1b" not in done.stderr


def test_script_gets_the_faults_of_a_spec_as_findings(run: Run) -> None:
    Path("hub.yaml").write_text("web: 0\nstun: [a.example:3478]\nmedia: {advertise: {stun: a.example:3478}}\n")
    done = run("up", "--json")
    assert done.code == 2
    web, media = json.loads(done.out)["findings"]
    assert (web["code"], web["subject"], web["severity"]) == ("value-wrong", "web", "error")
    assert web["where"] == {"file": "hub.yaml", "line": 1, "key": "web"}
    assert media["fix"] == [
        {
            "text": "write auto",
            "edit": {"file": "hub.yaml", "line": 3, "key": "media.advertise", "value": "auto"},
        }
    ]
    assert "2 faults in the spec; nothing was changed" in done.err
    assert run("up").out == "", "nothing that a script did not ask for"


def test_all_faults_are_printed_with_their_lines(run: Run) -> None:
    Path("hub.yaml").write_text("web: 0\nmedia:\n  upd: 1\nengine: ./nowhere\nkeys: {source: {file: nowhere.yaml}}\n")
    done = run("up")
    assert re.findall(r"hub\.yaml:(\d+): (\S+):", done.err) == [
        ("1", "web"),
        ("3", "media.upd"),
        ("4", "engine"),
        ("5", "keys.source"),
    ]
    assert "4 faults in the spec; nothing was changed" in done.err


@pytest.mark.parametrize("state", ["/proc/nowhere/state", "hub.txt", "x" * 200, "/" + "x/" * 60], ids=lambda s: s[:20])
def test_state_directory_that_cannot_be_is_exit_3(run: Run, state: str) -> None:
    Path("hub.txt").write_text("")
    done = run("up", "--state", state)
    assert (done.code, done.out) == (3, "")
    assert "bug" not in done.err


def test_help_is_on_stdout_for_every_command(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    for command in ("init", "up", "down", "restart", "status", "logs", "verify", "token", "env", "render", "spec"):
        assert re.search(rf"\b{command}\b", done.out)
        assert run(command, "-h").code == 0


def test_version_is_on_stdout(run: Run) -> None:
    assert run("--version").out == f"lkhub {lkhub.__version__}\n"


SPEC_COMMANDS = ("status", "verify", "env", "token", "logs", "trust", "restart", "down", "firewall revert")


@pytest.mark.parametrize("command", SPEC_COMMANDS)
def test_command_that_names_another_spec_stops(run: Run, applied: StatePaths, command: str) -> None:
    room = ("--room", "a", "--identity", "b") if command == "token" else ()
    done = run(*command.split(), *room, "--spec", "other.yaml")
    assert (done.code, done.out) == (2, "")
    assert f"the hub in {applied.root} runs by no spec, not by other.yaml" in done.err
    assert "`lkhub up --spec other.yaml`" in done.err


def test_command_that_names_the_spec_of_the_hub_is_done(run: Run, applied: StatePaths) -> None:
    record = json.loads(Path(applied.applied).read_text())
    write_private(applied.applied, json.dumps(record | {"spec": str(Path("hub.yaml").absolute())}))
    assert run("env", "--spec", "hub.yaml").code == 0


def test_the_service_is_not_offered_as_a_command(run: Run) -> None:
    assert not re.search(r"\b(serve|supervise)\b", run("--help").out)
    assert "did you mean" not in run("serv").err


def test_service_does_not_load_the_other_commands() -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "lkhub", "serve", "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    loaded = re.findall(r"\| +(lkhub\.\S+|typer)$", done.stderr, re.MULTILINE)
    assert "lkhub.cli.serve" in loaded
    assert not {"lkhub.cli.main", "lkhub.prepare.hub", "lkhub.plan.model", "lkhub.spec.model", "typer"} & set(loaded)


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        (["env"], {"lkhub.prepare.hub", "lkhub.spec.model", "lkhub.hub.status", "httpx", "anyio", "rich.console"}),
        (["up", "-h"], {"lkhub.hub.status", "lkhub.hub.surroundings", "lkhub.cli.shared.summary"}),
        (["down", "-h"], {"lkhub.prepare.hub", "lkhub.spec.model", "lkhub.hub.status", "httpx"}),
        (["token", "-h"], {"lkhub.prepare.hub", "lkhub.spec.model", "lkhub.hub.status", "httpx"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_command_loads_what_it_needs(applied: StatePaths, command: list[str], heavy: set[str]) -> None:
    """Scripts call them again and again, and what a command imports costs more than what it does."""
    argv = [sys.executable, "-X", "importtime", "-m", "lkhub", *command]
    environ = {**os.environ, "LKHUB_STATE": applied.root}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    loaded = set(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "lkhub.cli.shared.options" in loaded
    assert not heavy & loaded


@pytest.mark.parametrize("command", [["spec", "schema"], ["--version"], ["env"]], ids=" ".join)
def test_reader_that_has_gone_is_no_bug(applied: StatePaths, command: list[str]) -> None:
    """`lkhub spec schema | head -1`."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "lkhub", *command],
        env=_buffered() | {"LKHUB_STATE": applied.root},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("statsu", "did you mean `lkhub status`?"),
        ("veryfy", "did you mean `lkhub verify`?"),
        ("serv", "`lkhub --help` lists the commands"),
        ("frobnicate", "`lkhub --help` lists the commands"),
        ("\x1b[2J", "`lkhub --help` lists the commands"),
    ],
)
def test_mistyped_command_names_the_one_that_was_meant(run: Run, typed: str, hint: str) -> None:
    done = run(typed)
    assert (done.code, done.out) == (2, "")
    assert hint in done.err
    assert "\x1b" not in done.err


SAY = """
import os, sys
from lkhub.cli.shared.exits import run

def use_streams():
    assert os.open(os.devnull, os.O_RDONLY) > 2, "what is opened takes the place of none"
    sys.stdin.read()
    for stream in (sys.stdout, sys.stderr):
        stream.write("")
        stream.flush()

run(use_streams)
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_lead_nowhere(closed: str) -> None:
    """As some programs start others: `up --detach` ended with a bug."""
    command = shlex.join([sys.executable, "-c", SAY])
    assert subprocess.run(["sh", "-c", f"{command} {closed}"], stdin=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("command", [["spec", "schema"], ["--version"], ["env"], ["status", "--json"]], ids=" ".join)
def test_output_that_cannot_be_written_is_exit_3(applied: StatePaths, command: list[str]) -> None:
    """Python would exit 120 where a short output is written at the end."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lkhub", *command],
            env=_buffered() | {"LKHUB_STATE": applied.root},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (3, "error: can't write the output: no space left on device\n")


@pytest.mark.parametrize("unbuffered", [[], ["-u"]], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    ("command", "stream"),
    [(["--help"], "stdout"), (["status"], "stdout"), (["spec", "schema"], "stdout"), (["nonsense"], "stderr")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_terminal_that_is_gone_is_as_a_pipe_that_nothing_reads(
    applied: StatePaths, command: list[str], stream: str, unbuffered: list[str]
) -> None:
    """Its window was closed. A write to it is an input/output error (EIO), as one to a broken disk."""
    argv = [sys.executable, *unbuffered, "-m", "lkhub", *command]
    environ = _buffered() | {"LKHUB_STATE": applied.root}
    ours, gone = pty.openpty()
    os.close(ours)
    try:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: gone}
        done = subprocess.run(argv, env=environ, **streams, text=True, timeout=30)  # type: ignore[call-overload]
    finally:
        os.close(gone)
    assert (done.returncode, done.stdout or "", done.stderr or "") == (1, "", "")


def _buffered() -> dict[str, str]:
    """Our environment, without what keeps Python from collecting its output."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
