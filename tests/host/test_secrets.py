import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lkhub.errors import MachineError
from lkhub.host import secrets as secrets_module
from lkhub.host.secrets import ensure_managed_keys, ensure_secret
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret

SECRET = "XYZ" * 15


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


def test_managed_keys_are_made_once_and_kept(paths: StatePaths) -> None:
    keys = ensure_managed_keys(paths)
    [(name, secret)] = keys.items()
    assert re.fullmatch("API[A-Za-z0-9]{12}", name)
    assert re.fullmatch("[A-Za-z0-9]{43}", secret.reveal())
    assert os.stat(paths.managed_keys).st_mode & 0o777 == 0o600
    assert os.stat(paths.root).st_mode & 0o777 == 0o700
    assert ensure_managed_keys(paths) == keys


@pytest.mark.parametrize("link", [True, False], ids=["with links", "without"])
@pytest.mark.parametrize("make", [ensure_managed_keys, lambda paths: ensure_secret(paths.relay_secret)])
def test_two_who_start_at_once_go_on_with_the_same_secrets(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch, make: Callable[[StatePaths], Any], link: bool
) -> None:
    """One has found none, and has not written its own yet, when the other does all of it."""
    if not link:
        monkeypatch.setattr(os, "link", refuse_link)
    Path(paths.root).mkdir(mode=0o700)
    other: list[Any] = []
    generate = secrets_module._generate

    def generate_late(length: int) -> str:
        monkeypatch.setattr(secrets_module, "_generate", generate)
        other.append(make(paths))
        return generate(length)

    monkeypatch.setattr(secrets_module, "_generate", generate_late)
    made = make(paths)
    assert [made] == other
    assert make(paths) == made
    assert [path.name for path in Path(paths.root).iterdir() if path.name.startswith(".")] == [], "nothing is left over"


def refuse_link(*_: object) -> None:
    """As a file system does that has no hard links."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_two_hubs_never_share_a_key(tmp_path: Path) -> None:
    keys = [ensure_managed_keys(StatePaths(str(tmp_path / str(number)))) for number in range(20)]
    assert len({repr(list(pair)) for pair in keys}) == 20
    assert len({secret for pair in keys for secret in pair.values()}) == 20


def test_managed_keys_may_be_written_by_hand(paths: StatePaths) -> None:
    ensure_managed_keys(paths)
    Path(paths.managed_keys).write_text(f"# from the old server\nAPI: {SECRET}\n")
    assert ensure_managed_keys(paths) == {"API": Secret(SECRET)}


def test_damaged_managed_keys_are_an_error_and_not_replaced(paths: StatePaths) -> None:
    ensure_managed_keys(paths)
    for damage in (b"", b"API: short\n", b"\xff", b"[" * 500):
        Path(paths.managed_keys).write_bytes(damage)
        with pytest.raises(MachineError, match=re.escape(paths.managed_keys)) as raised:
            ensure_managed_keys(paths)
        assert "`lkhub restore FILE --force`" in raised.value.hints[0]
        assert "`lkhub env`" in raised.value.hints[1]
        assert Path(paths.managed_keys).read_bytes() == damage


def test_generated_secret_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "relay.secret")
    secret = ensure_secret(path)
    assert ensure_secret(path) == secret
    assert re.fullmatch(r"[A-Za-z0-9]{43}\n", secret)
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"abc", b"a" * 43, b"a" * 20 + bytes(24), b"\xff" * 44])
def test_generated_secret_that_is_damaged_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """A part of it would be accepted, and could be guessed."""
    path = tmp_path / "relay.secret"
    path.write_bytes(damage)
    secret = ensure_secret(str(path))
    assert re.fullmatch(r"[A-Za-z0-9]{43}\n", secret)
    assert path.read_text() == secret
