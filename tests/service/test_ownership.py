"""Two hubs on one store: one has it, the other is refused and waits."""

from pathlib import Path

import pytest

from lkhub.service.ownership import SILENT_SECONDS, Ownership
from lkhub.store.errors import StoreError
from lkhub.store.owner import require_own
from lkhub.store.store import Store
from tests.store.conftest import postgres, store, url

__all__ = ["postgres", "store", "url"]

STEP = 5.0


class Hub:
    """A hub on the store, with a clock of its own."""

    def __init__(self, store: Store, file: Path) -> None:
        self.now = 1000.0
        self.store, self.file = store, file
        self.ownership = Ownership(str(file), lambda: self.now)

    def may_use(self) -> bool:
        try:
            with self.store.writing() as connection:
                self.ownership.check(connection)
        except StoreError as error:
            if error.problem != "foreign":
                raise
            return False
        return True

    def wait(self, seconds: float, step: float = STEP) -> list[bool]:
        """What it may while it looks again and again."""
        found = []
        end = self.now + seconds
        while self.now < end:
            self.now += step
            found.append(self.may_use())
        return found


@pytest.fixture
def first(store: Store, tmp_path: Path) -> Hub:
    hub = Hub(store, tmp_path / "first")
    assert hub.may_use()
    return hub


@pytest.fixture
def second(store: Store, tmp_path: Path, first: Hub) -> Hub:
    return Hub(store, tmp_path / "second")


def test_second_hub_is_refused_for_as_long_as_the_first_is_there(first: Hub, second: Hub) -> None:
    for _ in range(3):
        assert not any(second.wait(SILENT_SECONDS - STEP))
        assert first.may_use()
    assert not second.may_use()


def test_several_services_of_a_hub_and_its_next_process_are_the_same_hub(first: Hub) -> None:
    other = Hub(first.store, first.file)
    assert other.may_use()
    assert first.may_use()


def test_hub_that_is_gone_is_followed(first: Hub, second: Hub) -> None:
    assert second.wait(SILENT_SECONDS + STEP) == [False] * int(SILENT_SECONDS / STEP) + [True]
    assert second.may_use()
    assert not first.may_use(), "it comes back, and would take seats away"


def test_time_in_which_the_store_was_not_seen_is_no_silence(first: Hub, second: Hub) -> None:
    assert not any(second.wait(SILENT_SECONDS - STEP))
    assert not any(second.wait(10 * SILENT_SECONDS, step=SILENT_SECONDS)), "the database was away for both"
    assert not any(second.wait(SILENT_SECONDS - STEP))


def test_identity_that_can_not_be_kept_uses_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused, store.writing() as connection:
        Ownership(str(tmp_path / "nowhere/identity")).check(connection)
    assert refused.value.problem == "refused"


def test_commands_do_not_work_on_the_store_of_another_hub(first: Hub, store: Store) -> None:
    with store.reading() as connection:
        require_own(connection, first.file.read_text())
        with pytest.raises(StoreError, match="the store belongs to another hub: it is that of the hub on "):
            require_own(connection, "other")
