"""Variables of a process's environment."""

from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.variables import resolve_variables
from lkhub.plan.process import Variable


def test_values_come_from_files_and_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("XYZ\n")
    variables = (Variable("A", file=str(tmp_path / "secret")), Variable("B", env="OUR_B"))
    assert resolve_variables(variables, {"OUR_B": "b"}) == {"A": "XYZ", "B": "b"}


@pytest.mark.parametrize("text", ["", " \n", "XYZ\0XYZ"])
def test_all_that_can_not_be_set_is_named_without_its_value(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    variables = (Variable("A", file=str(tmp_path / "secret")), Variable("B", env="OUR_B"))
    with pytest.raises(MachineError, match=r"A: .*; B: the environment variable OUR_B is not set") as raised:
        resolve_variables(variables, {})
    assert "XYZ" not in raised.value.message
