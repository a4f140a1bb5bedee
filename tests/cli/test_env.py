import subprocess

import pytest

from lkhub.host.files import write_private
from lkhub.host.keyfile import dump_keys
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from tests.cli.conftest import SECRET, Run

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
