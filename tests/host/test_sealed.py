"""Encryption by the engine, where the machine refuses what it needs."""

import errno
import os
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host.sealed import SealKeys, decrypting, encrypting
from lkhub.secret import Secret


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("opens", [encrypting, decrypting])
def test_pipe_that_can_not_be_made_is_no_bug(monkeypatch: pytest.MonkeyPatch, opens: Any, call: int) -> None:
    """As where no descriptor is free."""
    make, calls = os.pipe, iter(range(1, 10))

    def refuse() -> tuple[int, int]:
        if next(calls) == call:
            raise OSError(errno.EMFILE, "Too many open files")
        return make()

    monkeypatch.setattr(os, "pipe", refuse)
    with pytest.raises(MachineError, match="too many open files"), opens(0, SealKeys(Secret("x"))):
        pass
