import json
import subprocess
from pathlib import Path

import pytest

from lkhub.host.files import write_private
from lkhub.host.keyfile import dump_keys
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.state.written import read_written
from tests.cli.conftest import SECRET, Run
from tests.documents import ROOT, read_section

JSON = ROOT / "docs/reference/json.md"

WANTED = {
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "LIVEKIT_API_KEY": "APIcurrent",
    "LIVEKIT_API_SECRET": SECRET.reveal(),
}


def test_dotenv_is_what_a_program_reads(run: Run, applied: StatePaths) -> None:
    done = run("env")
    assert (done.code, done.err) == (0, "")
    assert dict(line.split("=", 1) for line in done.out.splitlines()) == WANTED


@pytest.mark.parametrize("arguments", [("--format", "json"), ("--json",), ("--format", "dotenv", "--json")])
def test_json_is_one_document(run: Run, applied: StatePaths, arguments: tuple[str, ...]) -> None:
    assert run("env", *arguments).json == WANTED


@pytest.mark.parametrize("secret", [SECRET.reveal(), "a'b\"c $HOME `id` \\ ; # " + "x" * 20, "'" * 32])
def test_shell_takes_any_secret_as_it_is(run: Run, applied: StatePaths, secret: str) -> None:
    write_private(applied.keys, dump_keys({"API": Secret(secret)}))
    script = run("env", "--format", "shell").out
    shown = subprocess.run(
        ["/bin/sh", "-c", f'{script}\nprintf %s "$LIVEKIT_API_SECRET"'], capture_output=True, text=True, env={}
    )
    assert shown.stdout == secret
    assert shown.stderr == ""


def test_server_config_has_echochats_five_settings(run: Run, applied: StatePaths) -> None:
    assert run("env", "--format", "server-config").json == {
        "livekit_enabled": True,
        "livekit_api_url": "http://127.0.0.1:7880",
        "livekit_ws_url": "ws://127.0.0.1:7880",
        "livekit_api_key": "APIcurrent",
        "livekit_api_secret": SECRET.reveal(),
    }
    assert run("env", "--format", "server-config", "--json").out == run("env", "--format", "server-config").out


def test_secret_that_programs_would_read_differently_is_not_printed_as_dotenv(run: Run, applied: StatePaths) -> None:
    write_private(applied.keys, dump_keys({"API": Secret("it's" * 9)}))
    done = run("env")
    assert (done.code, done.out) == (2, "")
    assert "LIVEKIT_API_SECRET has a character" in done.err
    assert "`lkhub env --json`" in done.err
    assert "it's" not in done.err
    write_private(applied.keys, dump_keys({"API": Secret("a #$ b" * 6)}))
    assert "LIVEKIT_API_SECRET='a #$ b" in run("env").out


@pytest.fixture
def file(run: Run) -> Path:
    """A .env in the folder in which commands run."""
    path = Path(".env")
    path.write_bytes(b"# mine\r\nexport LIVEKIT_URL=\"x\" # cloud\r\nDB='a b'\r\n")
    path.chmod(0o600)
    return path


def test_file_is_edited_in_place(run: Run, applied: StatePaths, file: Path) -> None:
    before = file.read_bytes()
    done = run("env", "--write", ".env")
    assert (done.code, done.out) == (0, "")
    assert file.read_bytes() == (
        b"# mine\r\nexport LIVEKIT_URL=\"ws://127.0.0.1:7880\" # cloud\r\nDB='a b'\r\n"
        b"LIVEKIT_API_KEY=APIcurrent\r\nLIVEKIT_API_SECRET=" + SECRET.reveal().encode() + b"\r\n"
    )
    assert done.err.startswith(
        f"wrote LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET to {file.absolute()}, a file of "
    )
    backup = done.err.splitlines()[1].removeprefix("what it held before is in ")
    assert Path(backup).read_bytes() == before
    assert "warning" not in done.err
    assert [(each.path, each.key) for each in read_written(applied)] == [(str(file.absolute()), "APIcurrent")]

    assert run("env", "--write", ".env").err == f"{file.absolute()} has these values already\n"


def test_json_says_what_was_written(run: Run, applied: StatePaths) -> None:
    path = Path("server_config.json")
    path.write_text('{"name": "EchoChat", "livekit_enabled": true}')
    done = run("env", "--format", "server-config", "--write", str(path), "--json")
    assert {key: done.json[key] for key in ("path", "format", "changed")} == {
        "path": str(path.absolute()),
        "format": "server-config",
        "changed": ["livekit_api_url", "livekit_ws_url", "livekit_api_key", "livekit_api_secret"],
    }
    examples = [token.content for token in read_section(JSON, "lkhub env --json") if token.info == "json"]
    assert list(json.loads(examples[1])) == list(done.json)
    assert Path(done.json["backup"]).read_text() == '{"name": "EchoChat", "livekit_enabled": true}'
    assert list(json.loads(path.read_text()))[:2] == ["name", "livekit_enabled"]
    assert run("env", "--format", "server-config", "--write", str(path), "--json").json["backup"] is None


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o604, True)])
def test_file_that_everyone_can_read_is_said(
    run: Run, applied: StatePaths, file: Path, mode: int, warned: bool
) -> None:
    file.chmod(mode)
    assert (f"`chmod o= {file.absolute()}`" in run("env", "--write", ".env").err) is warned
    assert file.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("format", ["shell", "json"])
def test_only_files_with_a_place_for_each_value_are_edited(
    run: Run, applied: StatePaths, file: Path, format: str
) -> None:
    done = run("env", "--write", ".env", "--format", format)
    assert (done.code, done.out) == (2, "")
    assert "DB='a b'" in file.read_text()
    assert "APIcurrent" not in file.read_text()


@pytest.mark.parametrize("text", [None, "", '{"name": "EchoChat"}'])
def test_json_file_does_not_become_a_dotenv_file(run: Run, applied: StatePaths, text: str | None) -> None:
    path = Path("server_config.json")
    if text is not None:
        path.write_text(text)
    done = run("env", "--write", str(path))
    assert (done.code, done.out) == (2, "")
    assert "--format server-config" in done.err
    assert (path.read_text() if path.exists() else None) == text
    assert read_written(applied) == ()


@pytest.mark.parametrize("name", ["nowhere/.env", ".", ""])
def test_file_that_can_not_be_is_refused(run: Run, applied: StatePaths, name: str) -> None:
    done = run("env", "--write", name)
    assert (done.code, done.out) == (2, "")


def test_line_at_fault_is_named(run: Run, applied: StatePaths, file: Path) -> None:
    file.write_text("A=1\nLIVEKIT_URL: x\n")
    done = run("env", "--write", ".env")
    assert (done.code, done.out) == (2, "")
    assert "error: .env:2: programs read the line of LIVEKIT_URL differently" in done.err
    assert file.read_text() == "A=1\nLIVEKIT_URL: x\n"


@pytest.mark.parametrize(
    ("other", "text", "said"),
    [
        (".env.local", "LIVEKIT_API_KEY=APIcloud\n", True),
        (".env.production", "A=1\nLIVEKIT_URL=wss://cloud.example\n", True),
        (".env.local", "LIVEKIT_API_KEY=APIcurrent\n", False),
        (".env.local", "OTHER=1\n", False),
        (".env.example", "LIVEKIT_API_KEY=APIcloud\n", False),
    ],
)
def test_file_that_counts_instead_is_named(run: Run, applied: StatePaths, other: str, text: str, said: bool) -> None:
    Path(other).write_text(text)
    done = run("env", "--write", ".env")
    assert done.code == 0
    assert (f"`lkhub env --write {Path(other).absolute()}`" in done.err) is said
    assert Path(other).read_text() == text
    Path(other).unlink()
    assert "Next.js" not in run("env", "--write", ".env").err


def test_files_beside_it_that_can_not_be_read_keep_nothing_from_being_written(run: Run, applied: StatePaths) -> None:
    Path(".env.local").mkdir()
    assert run("env", "--write", ".env").code == 0
    assert "LIVEKIT_URL=" in Path(".env").read_text()
