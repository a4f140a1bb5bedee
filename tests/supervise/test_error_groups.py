"""Errors that several tasks of the supervisor raise at once."""

import pytest

from lkhub.cli.shared import exits
from lkhub.errors import EXIT_BUG, InputError, MachineError, flatten
from lkhub.findings.fault import SpecError
from lkhub.supervise import run as run_module
from tests.findings.make import fault as make_fault


def raise_group(*errors: BaseException) -> None:
    with run_module._unwrapped():
        raise BaseExceptionGroup("x", [errors[0], BaseExceptionGroup("y", errors[1:])] if errors[1:] else errors)


def test_every_error_of_a_group_is_reported() -> None:
    errors = [MachineError("one", hints=("a",)), InputError("two", hints=("a", "b")), MachineError("one")]
    with pytest.raises(MachineError) as failed:
        raise_group(*errors)
    assert failed.value.message == "one\ntwo"
    assert failed.value.hints == ("a", "b")


def test_single_error_of_a_group_stays_itself() -> None:
    fault = SpecError([make_fault("hub.yaml", 1, "media", "wrong")])
    with pytest.raises(SpecError) as failed:
        raise_group(fault)
    assert failed.value is fault


def test_bug_beside_an_error_of_the_users_is_not_lost() -> None:
    with pytest.raises(BaseExceptionGroup) as failed:
        raise_group(MachineError("the disk is full"), RuntimeError("bug"), KeyError("another"))
    errors, bugs = flatten(failed.value)
    assert [error.message for error in errors] == ["the disk is full"]
    assert [type(bug) for bug in bugs] == [RuntimeError, KeyError]


def test_bug_beside_an_error_of_the_users_is_shown_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise_group(MachineError("the disk is full", hints=("free some",)), RuntimeError("a secret"))

    with pytest.raises(SystemExit) as ended:
        exits.run(command)
    shown = capsys.readouterr().err
    assert ended.value.code == EXIT_BUG
    assert "the disk is full" in shown
    assert "free some" in shown
    assert "this is a bug in lkhub: RuntimeError" in shown
    assert "a secret" not in shown
