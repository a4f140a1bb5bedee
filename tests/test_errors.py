import errno

import pytest

from lkhub.errors import HubError, InputError, MachineError, UnwellError, describe_error
from lkhub.findings.fault import SpecError
from tests.findings.make import fault


@pytest.mark.parametrize(("error", "code"), [(HubError, 1), (UnwellError, 1), (InputError, 2), (MachineError, 3)])
def test_error_knows_its_exit_code_and_its_hints(error: type[HubError], code: int) -> None:
    raised = error("what", hints=["do this", "or that"])
    assert (raised.exit_code, raised.message, raised.hints, str(raised)) == (
        code,
        "what",
        ("do this", "or that"),
        "what",
    )


def test_fault_says_where_what_and_what_to_do() -> None:
    assert str(fault("hub.yaml", 3, "media.udp", "is wrong", "write 1")) == (
        "hub.yaml:3: media.udp: is wrong\n    hint: write 1"
    )
    assert str(fault("hub.yaml", None, "", "is wrong")) == "hub.yaml: is wrong"


def test_spec_error_orders_its_faults_and_says_each_once() -> None:
    third, first = fault("f", 3, "c", "x"), fault("f", 1, "b", "x")
    whole = fault("f", None, "", "x")
    error = SpecError([third, first, first, whole, fault("f", 1, "a", "x")])
    assert [(fault.line, fault.key) for fault in error.faults] == [(None, ""), (1, "a"), (1, "b"), (3, "c")]
    assert error.message.endswith("\n4 faults in the spec; nothing was changed")
    assert SpecError([first]).message.endswith("\n1 fault in the spec; nothing was changed")
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [("/a/b", ": /a/b"), (7, ": 7"), (None, ""), ("/a\nhint: b", r": '/a\nhint: b'"), (b"/a\xff", r": b'/a\xff'")],
)
def test_error_of_the_system_is_one_line_whatever_its_file_is_called(name: str | bytes | int | None, told: str) -> None:
    assert describe_error(OSError(errno.ENOENT, "No such file", name)) == f"FileNotFoundError (No such file{told})"
