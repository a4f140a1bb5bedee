from lkhub.store.receivers import list_known_keys, note_known_keys
from lkhub.store.store import Store


def test_key_of_a_receiver_is_the_one_that_was_noted_last(store: Store) -> None:
    for items in (
        [{"https://b": "APIold"}, {"https://a": "APIold"}],
        [{"https://a": "APIold"}, {"https://a": "APInew"}],
    ):
        with store.writing() as connection:
            assert note_known_keys(connection, items) == [None] * len(items)
    with store.reading() as connection:
        assert list_known_keys(connection) == {"https://a": "APInew", "https://b": "APIold"}
