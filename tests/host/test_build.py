"""The command that builds a site: how it ends, what it prints, what is left of it."""

import io
import os
from pathlib import Path

import psutil
import pytest

from lkhub.host import build
from lkhub.host.build import Ended, OtherUser, find_other_user, run_build
from tests.waiting import wait_until

ENVIRON = {"PATH": os.environ["PATH"]}
SECRETS = {"TOKEN": "eyJhbGciOi.CANARY.signature"}


def run(command: str, folder: Path, seconds: float = 60, user: OtherUser | None = None) -> tuple[Ended, str]:
    output = io.BytesIO()
    ended = run_build(command, str(folder), ENVIRON, SECRETS, output, user, seconds)
    return ended, output.getvalue().decode()


def test_build_that_succeeds(tmp_path: Path) -> None:
    ended, output = run("pwd; echo done >&2", tmp_path)
    assert ended == Ended("", (str(tmp_path), "done"))
    assert output == f"{tmp_path}\ndone\n"


def test_build_that_fails_says_how_and_its_last_lines(tmp_path: Path) -> None:
    ended, _ = run("seq 1 100; exit 3", tmp_path)
    assert ended.problem == "it ended with exit code 3"
    assert ended.lines == tuple(map(str, range(93, 101)))
    assert run("kill -9 $$", tmp_path)[0].problem == "it was killed by signal 9"


def test_token_is_in_its_environment_and_not_in_its_output(tmp_path: Path) -> None:
    ended, output = run('printf "%s" "$TOKEN" > token; echo "<$TOKEN>"', tmp_path)
    assert (tmp_path / "token").read_text() == SECRETS["TOKEN"]
    assert output == "<[TOKEN]>\n"
    assert ended.lines == ("<[TOKEN]>",)


def test_token_in_a_line_without_an_end_is_not_shown_in_parts(tmp_path: Path) -> None:
    _, output = run('head -c 65530 /dev/zero | tr "\\0" x; echo "$TOKEN"', tmp_path)
    assert "eyJ" not in output


def test_output_without_an_end_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_MOST_OUTPUT", 1000)
    ended, output = run("seq 1 100000", tmp_path)
    assert len(output) <= 1000
    assert ended.lines[-1] == "100000"


def _find_sleepers(seconds: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", seconds]]


def test_build_that_never_ends_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    ended, _ = run("sleep 98765 & sh -c 'sleep 98765; true'", tmp_path, seconds=0.6)
    assert ended.problem.startswith("it had not ended after")
    wait_until(lambda: not _find_sleepers("98765"), "the end of what it started")


def test_what_a_build_leaves_running_ends_with_it(tmp_path: Path) -> None:
    ended, output = run("sleep 98764 & echo started", tmp_path)
    assert (ended.problem, output) == ("", "started\n")
    wait_until(lambda: not _find_sleepers("98764"), "the end of what it started")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")
def test_root_builds_as_a_user_without_rights(tmp_path: Path) -> None:
    secret = tmp_path / "keys.yaml"
    secret.write_text("CANARY")
    secret.chmod(0o600)
    user = find_other_user()
    assert user is not None
    ended, output = run(f"id -u; id -G; cat {secret}", Path("/"), user=user)
    assert output.splitlines()[:2] == [str(user.uid), str(user.gid)]
    assert "CANARY" not in output
    assert ended.problem == "it ended with exit code 1"


def test_no_other_user_can_build_for_an_ordinary_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find_other_user() is None
