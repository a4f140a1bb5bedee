"""The users of other people's code."""

from hypothesis import given
from hypothesis import strategies as st

from lkhub.plan.users import FIRST_LOW_UID, FIRST_UID, LOW_UIDS, UIDS, choose_killer, choose_uid

USERS = {False: range(FIRST_UID, FIRST_UID + UIDS), True: range(FIRST_LOW_UID, FIRST_LOW_UID + LOW_UIDS)}


@given(st.text(), st.text(), st.booleans())
def test_killer_is_a_user_that_no_code_has(one: str, other: str, low: bool) -> None:
    uids = [choose_uid(folder, low=low) for folder in (one, other)]
    killers = [choose_killer(uid) for uid in uids]
    assert all(uid in USERS[low] for uid in uids)
    assert not any(killer in users for killer in killers for users in USERS.values())
    assert all((killer < 65_536) == low for killer in killers)
    assert low or len(set(killers)) == len(set(uids))
