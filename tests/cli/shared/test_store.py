"""The store as commands open it."""

import asyncio
from pathlib import Path

import pytest

from lkhub.cli.shared.store import open_hub_store
from lkhub.secret import Secret
from lkhub.service import storage
from lkhub.service.errors import ApiError
from lkhub.service.storage import Storage
from lkhub.store import store
from lkhub.store.errors import StoreError
from lkhub.wire import application as wire


@pytest.mark.parametrize("password", ["a", " a b ", "\ta", "ü'\\"])
def test_password_reaches_the_store_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """By a command and by the service alike; a blank may be a part of it."""
    used: list[Secret | None] = []

    def refuse(url: str, password: Secret | None) -> None:
        used.append(password)
        raise StoreError("refused")

    for module in (store, storage):
        monkeypatch.setattr(module, "Store", refuse)
    file = tmp_path / "password"
    file.write_text(f"{password}\n")  # as lkhub/prepare/secrets.py places it
    settings = wire.Store("postgresql+psycopg://lkhub@127.0.0.1:1/lkhub", str(file))
    with pytest.raises(StoreError), open_hub_store(wire.Application(store=settings)):
        pass
    with pytest.raises(ApiError):
        asyncio.run(Storage(settings).read(lambda _: None))
    assert used == [Secret(password)] * 2
