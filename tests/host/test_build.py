"""The command that builds a site: how it ends, what it prints, what is left of it."""

import errno
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lkhub.errors import MachineError
from lkhub.host import build
from lkhub.host import limits as limits_module
from lkhub.host.build import Ended, read_output, run_build
from lkhub.host.limits import MOST_PROCESSES, prepare_limits
from tests.waiting import wait_until

ENVIRON = {"PATH": os.environ["PATH"]}
_ONLY_ROOT = "only root can start a program as another user"

# No user of this machine.
UID = 2_000_000_001

SECRETS = {"TOKEN": "eyJhbGciOi.CANARY.signature"}


def run(command: str, folder: Path, seconds: float = 60, uid: int | None = None) -> tuple[Ended, str]:
    output = io.BytesIO()
    ended = run_build(command, str(folder), ENVIRON, SECRETS, output, uid, seconds)
    return ended, output.getvalue().decode()


def test_build_that_succeeds(tmp_path: Path) -> None:
    ended, output = run("pwd; echo done >&2", tmp_path)
    assert ended == Ended("", (str(tmp_path), "done"))
    assert output == f"{tmp_path}\ndone\n"


def test_build_that_fails_says_how_and_its_last_lines(tmp_path: Path) -> None:
    ended, _ = run("seq 1 100; exit 3", tmp_path)
    assert ended.problem == "it ended with exit code 3"
    assert ended.lines == tuple(map(str, range(93, 101)))
    assert run("kill -9 $$", tmp_path)[0].problem.startswith("it was killed by signal 9")
    assert run("kill -TERM $$", tmp_path)[0].problem == "it was killed by signal 15"


def test_token_is_in_its_environment_and_not_in_its_output(tmp_path: Path) -> None:
    ended, output = run('printf "%s" "$TOKEN" > token; echo "<$TOKEN>"', tmp_path)
    assert (tmp_path / "token").read_text() == SECRETS["TOKEN"]
    assert output == "<[TOKEN]>\n"
    assert ended.lines == ("<[TOKEN]>",)


@pytest.mark.parametrize("printed", ["last", "one\\nlast", "last\\n", ""])
def test_output_ends_with_a_line(tmp_path: Path, printed: str) -> None:
    ended, output = run(f"printf '{printed}'; exit 1", tmp_path)
    assert output == "".join(f"{line}\n" for line in ended.lines)
    assert "\n\n" not in output


def test_token_in_a_line_without_an_end_is_not_shown_in_parts(tmp_path: Path) -> None:
    _, output = run('head -c 65530 /dev/zero | tr "\\0" x; echo "$TOKEN"', tmp_path)
    assert "eyJ" not in output


def test_token_is_not_shown_that_is_where_a_long_line_is_cut() -> None:
    for before in (65_516, 65_536, 131_060):
        lines: list[str] = []
        output = io.BytesIO()
        printed = "x" * before + SECRETS["TOKEN"] + "y" * 200_000 + "\nnext\n"
        read_output(io.BytesIO(printed.encode()), SECRETS, output, lines)
        assert lines == ["(more than can be shown)", "next"]
        assert output.getvalue() == b"(more than can be shown)\nnext\n"


def test_build_that_can_not_be_started_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", fail)
    with pytest.raises(MachineError, match=r"^it can't be started: resource temporarily unavailable$"):
        run("true", tmp_path)


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


def test_what_leaves_the_session_of_its_build_ends_with_it(tmp_path: Path) -> None:
    run("setsid -f sleep 98761; setsid -f sh -c 'setsid sleep 98761; true'; sleep 0.1", tmp_path)
    wait_until(lambda: not _find_sleepers("98761"), "the end of what it started")


def test_build_gains_no_rights(tmp_path: Path) -> None:
    assert "NoNewPrivs:\t1\n" in run("cat /proc/self/status", tmp_path)[1]


def test_build_that_takes_too_much_memory_fails_and_not_the_machine(tmp_path: Path) -> None:
    _, output = run(f"{sys.executable} -c 'bytearray(5 << 30)' 2>&1", tmp_path)
    assert output.endswith("MemoryError\n")
    assert run("cat /proc/self/oom_score_adj", tmp_path)[1] == "1000\n"


def test_build_has_a_limit_for_processes_and_gives_way_to_calls(tmp_path: Path) -> None:
    _, output = run("ulimit -p 2>/dev/null || ulimit -u; nice", tmp_path)
    most, niceness = map(int, output.split())
    assert MOST_PROCESSES <= most < MOST_PROCESSES + 50_000
    assert niceness > os.nice(0)


def test_build_that_writes_a_file_without_an_end_fails_and_says_why(tmp_path: Path) -> None:
    ended, _ = run("truncate -s 3G file; exit $?", tmp_path)
    assert ended.problem == "it wrote a file of more than 2 GiB"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are those of x86_64")
def test_build_in_a_unit_has_its_limits_too() -> None:
    """systemd lets a service change no priority."""
    argv = [sys.executable, "-m", "tests.host.in_unit", "grep 'file size' /proc/self/limits"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split()[3:5] == ["2147483648", "2147483648"]


def test_other_processes_of_our_own_user_do_not_count_for_a_build() -> None:
    limits: dict[int, tuple[int, int]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits_module, "_count_own", lambda: 5000)
        patch.setattr(resource, "setrlimit", limits.__setitem__)
        patch.setattr(os, "nice", lambda _: None)
        patch.setattr(os, "open", _refuse)
        patch.setattr(resource, "getrlimit", lambda _: (-1, resource.RLIM_INFINITY))
        prepare_limits(None)()
        own = limits[resource.RLIMIT_NPROC]
        prepare_limits(UID)()
    assert (own, limits[resource.RLIMIT_NPROC]) == ((6024, 6024), (1024, 1024))


def _refuse(*_: object) -> int:
    raise OSError


@pytest.mark.skipif(os.geteuid() != 0, reason=_ONLY_ROOT)
def test_root_builds_as_a_user_without_rights(tmp_path: Path) -> None:
    secret = tmp_path / "keys.yaml"
    secret.write_text("CANARY")
    secret.chmod(0o600)
    ended, output = run(f"id -u; id -G; cat {secret}", Path("/"), uid=UID)
    assert output.splitlines()[:2] == [str(UID), str(UID)]
    assert "CANARY" not in output
    assert ended.problem == "it ended with exit code 1"
    assert "CapBnd:\t0000000000000000\n" in run("cat /proc/self/status", Path("/"), uid=UID)[1]


@pytest.mark.skipif(os.geteuid() != 0, reason=_ONLY_ROOT)
def test_build_that_starts_processes_without_end_is_ended() -> None:
    endless = "f() { setsid -f sleep 98760; f & f & }; f & exec sleep 98760"
    ended, _ = run(endless, Path("/"), seconds=1, uid=UID)
    assert ended.problem.startswith("it had not ended after")
    assert not [each for each in psutil.process_iter(["uids"]) if each.info["uids"].real == UID]


def test_build_does_not_run_with_rights_that_it_should_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "prepare_to_become", lambda _: _refuse)
    with pytest.raises(MachineError, match="can't be started: as root, lkhub needs the capabilities"):
        run("touch built", tmp_path, uid=UID)
    assert not (tmp_path / "built").exists()
