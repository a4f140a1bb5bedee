"""A change is a list of steps, and each says first how it is taken back."""

import pytest

from lkhub.errors import MachineError
from lkhub.supervise.change import UndoList

pytestmark = pytest.mark.anyio


async def test_steps_are_taken_back_in_reverse_and_a_failure_keeps_no_other_from_its_turn() -> None:
    done: list[str] = []
    undos = UndoList()

    def step(name: str, error: Exception | None = None) -> None:
        async def undo() -> None:
            done.append(name)
            if error:
                raise error

        undos.add(undo)

    step("first")
    step("second", MachineError("the disk is full"))
    step("third", RuntimeError("a secret"))
    step("fourth")
    failures = await undos.run()
    assert done == ["fourth", "third", "second", "first"]
    assert failures[0].startswith("this is a bug in lkhub: RuntimeError (test_undo.py:")
    assert failures[1] == "the disk is full"
    assert "a secret" not in "".join(failures)
    assert await undos.run() == [], "once"
