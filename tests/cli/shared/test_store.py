"""The store as commands open it."""

import asyncio
from pathlib import Path

import pytest

from lkhub.cli.shared.store import open_hub_store
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.service import storage
from lkhub.service.errors import ApiError
from lkhub.service.storage import Storage
from lkhub.state.store import StoreRecord, write_store
from lkhub.store import store
from lkhub.store.errors import StoreError
from lkhub.wire import application as wire


@pytest.mark.parametrize("password", ["a", " a b ", "\ta", "ü'\\"])
def test_password_reaches_the_store_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """By a command and by the service alike; a blank may be a part of it."""
    used: list[Secret | None] = []

    def refuse(url: str, password: Secret | None, *, made: bool) -> None:
        used.append(password)
        raise StoreError("refused")

    for module in (store, storage):
        monkeypatch.setattr(module, "Store", refuse)
    file = tmp_path / "password"
    file.write_text(f"{password}\n")  # as lkhub/prepare/secrets.py places it
    settings = wire.Store("postgresql+psycopg://lkhub@127.0.0.1:1/lkhub", str(file))
    with pytest.raises(StoreError), open_hub_store(StatePaths(str(tmp_path)), wire.Application(store=settings)):
        pass
    with pytest.raises(ApiError):
        asyncio.run(Storage(settings).read(lambda _: None))
    assert used == [Secret(password)] * 2


def test_command_makes_no_store_in_place_of_one_that_was_removed(tmp_path: Path) -> None:
    """The service would go on with the empty one: no key would be known, and every seat free."""
    paths = StatePaths(str(tmp_path))
    application = wire.Application(store=wire.Store(f"sqlite:///{paths.store}"))
    with open_hub_store(paths, application):
        pass  # a hub that never had one
    write_store(paths.store_state, StoreRecord(paths.store, made=True))
    Path(paths.store).unlink()
    with pytest.raises(StoreError, match="was removed") as refused, open_hub_store(paths, application):
        pass
    assert refused.value.problem == "gone"
    assert not Path(paths.store).exists()


@pytest.mark.parametrize(("file", "made"), [("lkhub.db", False), ("elsewhere.db", True)])
def test_store_that_was_not_made_yet_may_be_made(tmp_path: Path, file: str, made: bool) -> None:
    """The service was not up yet, or the record is of the store that the spec named before."""
    paths = StatePaths(str(tmp_path))
    store = tmp_path / "lkhub.db"
    write_store(paths.store_state, StoreRecord(str(tmp_path / file), made=made))
    with open_hub_store(paths, wire.Application(store=wire.Store(f"sqlite:///{store}"))):
        assert store.exists()
