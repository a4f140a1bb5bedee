from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.identity import ensure_identity


def test_identity_is_made_once(tmp_path: Path) -> None:
    path = str(tmp_path / "identity")
    assert ensure_identity(path) == ensure_identity(path) == Path(path).read_text()


@pytest.mark.parametrize("damage", ["", "\n", "0" * 31, "0" * 30 + "\0\0"])
def test_damaged_identity_is_an_error_and_not_replaced(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "identity"
    path.write_text(damage)
    with pytest.raises(MachineError, match="is damaged, and the database knows the hub by it"):
        ensure_identity(str(path))
    assert path.read_text() == damage
