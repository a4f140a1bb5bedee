"""What another lkhub is asked, and what becomes of an answer that is none. Its program is a script here."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from lkhub.errors import HubError, InputError, MachineError
from lkhub.host import another
from lkhub.host.another import AnotherLkhub
from lkhub.wire.failure import Failure, FailureAnswer
from lkhub.wire.message import dump_message
from lkhub.wire.upgrade import Look, ReplacedProcess, Tried
from tests.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path


def make(folder: Path, script: str) -> AnotherLkhub:
    program = folder / "bin/lkhub"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return AnotherLkhub(str(folder))


def answer(folder: Path, message: object, code: int = 0) -> AnotherLkhub:
    (folder / "answer").write_text(dump_message(message))
    return make(folder, f'[ "$1" != --version ] || exec echo lkhub 0.2.0; cat {folder}/answer; exit {code}')


def test_it_says_its_version(folder: Path) -> None:
    assert make(folder, "echo lkhub 0.2.0rc1").ask_version() == Version("0.2.0rc1")
    for script in ("exit 1", "echo lkhub new", "echo lkhub"):
        with pytest.raises(MachineError, match="does not say its version"):
            make(folder, script).ask_version()


def test_what_it_would_change_is_read(folder: Path) -> None:
    look = Look("0.2.0", (ReplacedProcess("one", "so"),))
    assert answer(folder, look).look({}) == look


def test_reason_for_which_it_does_not_take_a_hub_is_repeated_with_its_hints(folder: Path) -> None:
    failure = Failure("hub.yaml:1: reech", ("did you mean reach?",), InputError.exit_code)
    with pytest.raises(InputError, match=r"lkhub 0\.2\.0 refuses this hub: hub\.yaml:1: reech") as refused:
        answer(folder, FailureAnswer(failure), 2).look({})
    assert refused.value.hints == ("did you mean reach?",)


@pytest.mark.parametrize("script", ["exit 9", "echo no", "echo '[]'", "echo 'there is no command' >&2; exit 2"])
def test_lkhub_that_can_not_be_asked_is_not_taken(folder: Path, script: str) -> None:
    """As one from before there was `lkhub upgrade`."""
    with pytest.raises(MachineError, match="can't be asked"):
        make(folder, script).look({})


def test_call_that_fails_is_an_error(folder: Path) -> None:
    answer(folder, Tried()).try_out("")
    with pytest.raises(MachineError, match=r"lkhub 0\.2\.0 does not carry a call: nothing was heard"):
        answer(folder, Tried("nothing was heard")).try_out("")
    with pytest.raises(HubError, match=r"lkhub 0\.2\.0 brings up no hub: media did not start"):
        answer(folder, FailureAnswer(Failure("media did not start")), 1).try_out("")


def test_try_has_an_input_that_lasts_until_it_ends(folder: Path) -> None:
    """It ends with its input, so that nothing is left of it."""
    (folder / "answer").write_text(dump_message(Tried()))
    make(folder, f"timeout 0.2 cat && echo the input has ended || cat {folder}/answer").try_out("")


def test_try_has_no_terminal(folder: Path) -> None:
    (folder / "answer").write_text(dump_message(Tried()))
    make(folder, f"cut -d' ' -f6 /proc/$$/stat >{folder}/session; cat {folder}/answer").try_out("")
    assert int((folder / "session").read_text()) != os.getsid(0)


def test_try_that_takes_too_long_ends_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of its hub would outlive its kill."""
    monkeypatch.setattr(another, "ASK_SECONDS", 0.2)
    with pytest.raises(MachineError, match="did not run to its end"):
        make(folder, f"cat; sleep 0.5; touch {folder}/ended").try_out("")
    assert (folder / "ended").exists()


def test_try_ends_in_order_after_ctrl_c(folder: Path) -> None:
    make(folder, f"touch {folder}/begun; cat; sleep 0.5; touch {folder}/ended")
    code = f"from lkhub.host.another import AnotherLkhub; AnotherLkhub({str(folder)!r}).try_out('')"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        wait_until((folder / "begun").exists, "it is tried")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert (folder / "ended").exists()


def test_try_that_was_left_and_does_not_end_keeps_no_upgrade_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(another, "END_SECONDS", 0.1)
    left = tmp_path / "lkhub-try-1"
    left.mkdir()
    lkhub = make(folder, "sleep 60")
    monkeypatch.setattr(another, "DOWN_SECONDS", 0.1)
    lkhub.end_tries("")
    assert left.exists(), "its processes may still run"
    make(folder, "exit 0").end_tries("")
    assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="runs a program as another user")
def test_another_user_has_the_temporary_folder_of_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpam-tmpdir gives each user one of its own, which others can't enter."""
    monkeypatch.setenv("TMPDIR", "/tmp/user/0")
    for above in (folder, *folder.parents[:3]):
        above.chmod(0o755)
    make(folder, """printf '{"version": 1, "result": {"problem": "%s"}}' "$TMPDIR" """)
    done = AnotherLkhub(str(folder))._run_as("nobody", "upgrade-try", seconds=30)
    assert "/tmp/user" not in done.out
    assert '"/tmp"' in done.out


def test_status_of_a_hub_that_is_starting_is_none(folder: Path) -> None:
    assert make(folder, "echo the hub is starting >&2; exit 1").ask_status("/state") is None
    assert make(folder, "echo '{\"hub\": 1}'; exit 1").ask_status("/state") == {"hub": 1}


def test_installation_is_done_if_it_is_in_place(folder: Path) -> None:
    held = os.open(os.devnull, os.O_RDONLY)
    try:
        make(folder, "exit 0").install({}, now=False, held=held)
        make(folder, "exit 1").install({}, now=False, held=held)
        said = "echo 'starting …' >&2; echo 'error: it does not take the spec' >&2; echo '  hint: edit it' >&2"
        with pytest.raises(MachineError, match=r"^it does not take the spec$") as refused:
            make(folder, f"{said}; exit 3").install({}, now=True, held=held)
        assert refused.value.hints == ("edit it",)
        with pytest.raises(MachineError, match="install --now` ended with exit code -9"):
            make(folder, "kill -9 $$").install({}, now=True, held=held)
        make(folder, f"test -e /proc/self/fd/{held}").install({}, now=False, held=held)
    finally:
        os.close(held)


def test_program_that_is_gone_is_named(folder: Path) -> None:
    gone = AnotherLkhub(str(folder))
    for ask in (gone.ask_version, lambda: gone.try_out(""), lambda: gone.install({}, now=False, held=0)):
        with pytest.raises(MachineError, match=f"{folder}/bin/lkhub"):
            ask()
