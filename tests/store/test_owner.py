"""Whose store it is."""

from lkhub.store.owner import Owner, claim, take_over
from lkhub.store.store import Store


def test_owner_that_has_used_the_store_meanwhile_keeps_it(store: Store) -> None:
    with store.writing() as connection:
        seen = claim(connection, "a", "one")
        assert claim(connection, "b", "two") == seen, "another hub learns whose it is, and changes nothing"
        claim(connection, "a", "one")
        assert not take_over(connection, "b", "two", seen)
        assert not take_over(connection, "b", "two", Owner("c", "three", seen.beat + 1))
        found = claim(connection, "b", "two")
        assert (found.hub, found.host) == ("a", "one")
        assert take_over(connection, "b", "two", found)
        assert claim(connection, "b", "two").hub == "b"
        assert claim(connection, "a", "one").hub == "b"
