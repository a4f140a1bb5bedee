"""Who gets which seat, and how long it is kept."""

from collections import Counter

import pytest

from lkhub.service.rooms.family import ASK_AGAIN_SECONDS, JOIN_SECONDS, RETURN_SECONDS, Family

NOW = 50.0


def family(capacity: int = 2, *, subrooms: bool = True, name: str = "a") -> Family:
    return Family(name, 1, capacity, subrooms=subrooms)


def fill(some: Family, *identities: str, now: float = NOW) -> list[int | None]:
    return [some.reserve(identity, "caller", "", 1, now) for identity in identities]


def test_lowest_room_with_space_is_taken() -> None:
    some = family()
    assert fill(some, *"abcde") == [1, 1, 2, 2, 3]
    some.join(1, "a", "PA_a")
    some.leave(1, "a", "PA_a", NOW, returns=False)
    assert fill(some, "f", "g", "h") == [1, 3, 4]


def test_a_thousand_callers_get_63_rooms_of_16() -> None:
    some = family(16)
    rooms = Counter(fill(some, *map(str, range(1000))))
    assert len(rooms) == 63
    assert sorted(rooms.values()) == [8] + [16] * 62


def test_same_identity_has_the_same_seat_whoever_asks() -> None:
    some = family()
    assert fill(some, "a", "b", "c") == [1, 1, 2]
    assert fill(some, "a", "c", "a") == [1, 2, 1]
    assert some.reserve("a", "another key of the same application", "", 1, NOW) == 1
    some.join(2, "c", "PA_c")
    assert fill(some, "c") == [2]
    assert some.count(1) + some.count(2) == 3


def test_room_without_sub_rooms_is_full() -> None:
    some = family(subrooms=False)
    assert fill(some, "a", "b", "c", "a") == [1, 1, None, 1]


def test_full_room_says_when_the_first_reservation_ends() -> None:
    some = family(1, subrooms=False)
    fill(some, "a")
    assert some.ask_again(NOW) == ASK_AGAIN_SECONDS
    assert some.ask_again(NOW + JOIN_SECONDS - 3.5) == 4
    assert some.ask_again(NOW + JOIN_SECONDS) == 1
    some.join(1, "a", "PA_a")
    assert some.ask_again(NOW + JOIN_SECONDS) == ASK_AGAIN_SECONDS


def test_wished_room_is_given_if_it_has_space_and_is_in_use_or_next() -> None:
    some = family()
    assert some.reserve("a", "", "", 2, NOW) == 1, "room 2 would be the first, and room 1 empty"
    assert some.reserve("b", "", "", 1, NOW) == 1
    assert some.reserve("c", "", "", 2, NOW) == 2
    assert some.reserve("d", "", "", 500, NOW) == 2
    assert some.reserve("e", "", "", 2, NOW) == 3, "it is full"
    some.join(7, "stranger", "PA_s")
    assert some.reserve("f", "", "", 7, NOW) == 7


def test_reservation_moves_to_a_wished_room_and_a_participant_gets_another_seat_there() -> None:
    some = family()
    fill(some, *"abc")
    some.join(1, "b", "PA_b")
    assert some.reserve("a", "", "", 2, NOW) == 2
    assert (some.count(1), some.count(2)) == (1, 2)
    assert some.reserve("b", "", "", 2, NOW) == 1, "room 2 is full, and its seat in room 1 is kept"
    some.leave(2, "c", "", NOW, returns=False)
    assert some.reserve("b", "", "", 2, NOW) == 2
    assert {seat.number for seat in some if seat.identity == "b"} == {1, 2}, "it sits in room 1 until it leaves"
    some.leave(1, "b", "PA_b", NOW, returns=False)
    assert fill(some, "b") == [2]


def test_party_stays_together_while_there_is_space() -> None:
    some = family(3)
    assert some.reserve("a", "", "red", 1, NOW) == 1
    fill(some, "x", "y", "z")
    assert some.reserve("b", "", "blue", 1, NOW) == 2
    assert some.reserve("c", "", "blue", 1, NOW) == 2
    some.leave(1, "x", "", NOW, returns=False)
    assert some.reserve("d", "", "blue", 1, NOW) == 1, "room 2 is full"
    assert some.reserve("e", "", "red", 1, NOW) == 3
    some.leave(2, "b", "", NOW, returns=False)
    assert some.reserve("f", "", "blue", 1, NOW) == 2, "there are most of them"


def test_party_is_where_most_of_it_are_and_nowhere_once_they_have_left() -> None:
    some = family(3)
    some.reserve("a", "", "red", 1, NOW)
    fill(some, "x", "y")
    assert [some.reserve(each, "", "red", 1, NOW) for each in "bc"] == [2, 2]
    some.leave(1, "x", "", NOW, returns=False)
    assert some.reserve("d", "", "red", 1, NOW) == 2, "one of them is in room 1, which is not full"
    assert some.reserve("e", "", "blue", 1, NOW) == 1
    some.leave(1, "e", "", NOW, returns=False)
    for number, identity in ((1, "a"), (2, "b"), (2, "c")):
        some.leave(number, identity, "", NOW, returns=False)
    assert some.reserve("f", "", "red", 1, NOW) == 2
    for identity in "df":
        some.leave(2, identity, "", NOW, returns=False)
    some.join(2, "z", "PA_z")
    assert some.reserve("g", "", "red", 1, NOW) == 1


def test_list_shortens_no_reservation_and_is_no_change_where_nothing_has_changed() -> None:
    some = family(3)
    fill(some, "waits")
    some.join(1, "sits", "PA_s")
    some.take_changes()
    some.agree(1, {"sits": "PA_s"}, some.version, NOW)
    some.join(1, "sits", "PA_s")
    assert some.take_changes() is None
    some.expire(NOW + JOIN_SECONDS - 0.1)
    assert some.find(1, "waits")


def test_each_reservation_ends_at_its_own_time() -> None:
    some = family(1)
    for turn, identity in enumerate("abc"):
        fill(some, identity, now=NOW + 20 * turn)
    assert some.ask_again(NOW + JOIN_SECONDS - 4) == 4
    for turn in range(3):
        some.expire(NOW + JOIN_SECONDS + 20 * turn)
        assert [seat.identity for seat in some] == list("abc"[turn + 1 :])


def test_participant_in_an_overfilled_room_keeps_its_seat() -> None:
    some = family(2)
    for identity in "abc":
        some.join(1, identity, f"PA_{identity}")
    assert fill(some, *"abc") == [1, 1, 1]


def test_reservation_moves_to_the_next_room_that_was_wished() -> None:
    some = family(2)
    fill(some, "a", "b")
    assert some.reserve("b", "", "", 2, NOW) == 2


def test_where_a_participant_sits_goes_before_its_reservation_elsewhere() -> None:
    some = family(2)
    fill(some, "a")
    some.join(2, "a", "PA_a")  # with another token
    assert fill(some, "a") == [2]
    some.join(3, "b", "PA_b")
    some.join(2, "b", "PA_c")
    assert [some.reserve("b", "", "", wished, NOW) for wished in (3, 2, 1)] == [3, 2, 2]


def test_seat_is_of_the_caller_that_asked_last() -> None:
    some = family(1)
    for caller in ("first", "second"):
        some.reserve("a", caller, "", 1, NOW)
        assert [seat.caller for seat in some] == [caller]


def test_reservation_ends_unless_its_participant_joins() -> None:
    some = family(1)
    fill(some, "a", "b")
    some.join(1, "a", "PA_a")
    some.expire(NOW + JOIN_SECONDS - 0.1)
    assert some.count(2) == 1
    some.expire(NOW + JOIN_SECONDS)
    assert (some.count(1), some.count(2)) == (1, 0)


def test_asking_again_reserves_anew() -> None:
    some = family(1)
    fill(some, "a")
    fill(some, "a", now=NOW + JOIN_SECONDS - 1)
    some.expire(NOW + JOIN_SECONDS)
    assert some.count(1) == 1


def test_participant_that_left_may_return_for_some_seconds() -> None:
    some = family(1)
    fill(some, "a")
    some.join(1, "a", "PA_1")
    some.leave(1, "a", "PA_1", NOW)
    some.expire(NOW + RETURN_SECONDS - 0.1)
    some.join(1, "a", "PA_2")
    some.expire(NOW + 1000)
    assert some.count(1) == 1
    some.leave(1, "a", "PA_2", NOW + 1000)
    some.expire(NOW + 1000 + RETURN_SECONDS)
    assert not some


@pytest.mark.parametrize("returns", [False, True])
def test_token_that_is_asked_for_before_the_leave_is_seen_has_its_whole_time(returns: bool) -> None:
    """A page is loaded anew, and LiveKit has its earlier participant for some seconds more."""
    some = family(1)
    fill(some, "a")
    some.join(1, "a", "PA_1")
    fill(some, "a", now=NOW + 100)
    some.expire(NOW + 1000)
    assert some.count(1) == 1
    fill(some, "a", now=NOW + 1000)
    some.leave(1, "a", "PA_1", NOW + 1010, returns=returns)
    some.expire(NOW + 1000 + JOIN_SECONDS - 0.1)
    assert some.count(1) == 1
    some.expire(NOW + 1000 + JOIN_SECONDS)
    assert not some


@pytest.mark.parametrize("again", [False, True])
def test_token_that_was_used_or_is_old_keeps_no_seat_longer(again: bool) -> None:
    some = family(1)
    some.join(1, "a", "PA_1")
    fill(some, "a")
    left = NOW + JOIN_SECONDS
    if again:
        some.join(1, "a", "PA_2")
        left = NOW + 1
    some.leave(1, "a", f"PA_{1 + again}", left)
    some.expire(left + RETURN_SECONDS - 0.1)
    assert some.count(1) == 1
    some.expire(left + RETURN_SECONDS)
    assert not some


def test_leave_of_an_earlier_session_takes_no_seat() -> None:
    some = family(1)
    some.join(1, "a", "PA_1")
    some.join(1, "a", "PA_2")
    some.leave(1, "a", "PA_1", NOW, returns=False)
    assert some.find(1, "a")


def test_participants_without_a_reservation_count_also_above_the_capacity() -> None:
    some = family(2)
    for identity in "abc":
        some.join(1, identity, f"PA_{identity}")
    assert some.count(1) == 3
    assert fill(some, "d") == [2]


def test_reservation_in_a_room_that_others_overfilled_is_not_repeated() -> None:
    some = family(2)
    fill(some, "a", "b")
    some.join(1, "stranger", "PA_s")
    assert fill(some, "a") == [2], "LiveKit would refuse the third"
    assert fill(some, "b") == [1]


def test_livekits_list_wins_over_what_was_known() -> None:
    some = family(4)
    fill(some, "waits")
    some.join(1, "gone", "PA_g")
    some.join(1, "again", "PA_1")
    some.agree(1, {"again": "PA_2", "stranger": "PA_s"}, some.version, NOW)
    seats = {seat.identity: seat.sid for seat in some}
    assert seats == {"waits": "", "gone": "", "again": "PA_2", "stranger": "PA_s"}
    some.expire(NOW + RETURN_SECONDS)
    assert some.find(1, "gone") is None


def test_list_says_nothing_about_seats_that_changed_after_it_was_begun() -> None:
    some = family(4)
    some.join(1, "old", "PA_o")
    version = some.version
    some.take_changes()
    some.join(1, "new", "PA_n")
    some.join(1, "left", "PA_l")
    some.leave(1, "left", "PA_l", NOW)
    some.agree(1, {"left": "PA_l"}, version, NOW)
    assert {seat.identity: seat.sid for seat in some} == {"old": "", "new": "PA_n", "left": ""}


def test_name_that_gets_too_long_for_livekit_has_no_more_sub_rooms() -> None:
    some = family(1, name="a" * 253)
    assert fill(some, *map(str, range(11))) == [*range(1, 10), None, None]
    assert family(1, name="é" * 128).reserve("a", "", "", 1, NOW) == 1


def describe(some: Family) -> tuple[set[str], set[str], list[tuple[int, str]]] | None:
    """The identities of seats that are new and of those that are different, and the seats that are gone."""
    changes = some.take_changes()
    if changes is None:
        return None
    return {seat.identity for seat in changes.added}, {seat.identity for seat in changes.changed}, changes.removed


@pytest.mark.parametrize("capacity", [1, 3])
def test_every_change_is_told_once(capacity: int) -> None:
    some = family(capacity)
    assert describe(some) is None
    fill(some, "a", "b")
    version = some.version
    assert describe(some) == ({"a", "b"}, set(), [])
    assert {seat.changed for seat in some} == {version}
    assert describe(some) is None
    assert some.version == version
    some.join(1, "a", "PA_a")
    assert describe(some) == (set(), {"a"}, [])
    some.join(1, "a", "PA_a")
    some.leave(1, "a", "PA_a", NOW, returns=False)
    fill(some, "a")
    assert describe(some) == ({"a"}, set(), [(1, "a")])
    assert some.version > version


def test_seat_that_came_and_went_is_not_written() -> None:
    some = family()
    fill(some, "a")
    some.clear()
    assert describe(some) == (set(), set(), [])
