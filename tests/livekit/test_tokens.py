import hmac
import re
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.livekit.tokens import DEFAULT_TTL_SECONDS, Grant, count_bytes, find_unseen, join_grant, show_name, sign
from lkhub.secret import Secret

SECRET = Secret("XYZ" * 15)
NOW = 1_800_000_000.9


def claims(grant: Grant, now: float | None = NOW) -> dict[str, Any]:
    token = sign(grant, "API", SECRET, now)
    return jwt.decode(token, SECRET.reveal(), algorithms=["HS256"], options={"verify_exp": False, "verify_nbf": False})


def test_plain_participant_joins_one_room_and_administers_nothing() -> None:
    assert claims(Grant("ann", join_grant("lobby"))) == {
        "iss": "API",
        "sub": "ann",
        "nbf": 1_800_000_000 - 10,
        "exp": 1_800_000_000 + DEFAULT_TTL_SECONDS,
        "video": {"roomJoin": True, "room": "lobby", "canPublish": True, "canSubscribe": True, "canPublishData": True},
    }


def test_what_is_given_is_in_the_token_and_what_is_empty_is_not() -> None:
    full = Grant("ann", {}, "Ann", "meta", {"a": "b"}, {"maxParticipants": 2}, ttl_seconds=60)
    found = claims(full)
    assert (found["name"], found["metadata"], found["attributes"]) == ("Ann", "meta", {"a": "b"})
    assert found["roomConfig"] == {"maxParticipants": 2}
    assert found["exp"] == 1_800_000_060


def test_grant_without_a_room_is_refused() -> None:
    """To LiveKit it would open every room."""
    with pytest.raises(ValueError, match="room"):
        join_grant("")


def test_token_is_signed_with_hs256_and_good_now() -> None:
    token = sign(Grant("ann", join_grant("lobby")), "API", SECRET)
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert jwt.decode(token, SECRET.reveal(), algorithms=["HS256"])["sub"] == "ann"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, "ABC" * 15, algorithms=["HS256"])


@given(st.text(), st.text(min_size=1), st.text(), st.dictionaries(st.text(), st.text()))
def test_any_text_survives(identity: str, room: str, name: str, attributes: dict[str, str]) -> None:
    found = claims(Grant(identity, join_grant(room), name=name, attributes=attributes))
    assert found["sub"] == identity
    assert found["video"]["room"] == room
    assert found.get("name", "") == name
    assert found.get("attributes", {}) == attributes


def test_secret_may_be_of_any_length_and_alphabet() -> None:
    """`livekit-server --dev` has "secret"; the hub judges its own elsewhere."""
    for secret in ("secret", "Ü" * 16, "x" * 200):
        token = sign(Grant("ann", join_grant("lobby")), "devkey", Secret(secret))
        head, body, signature = token.split(".")
        expected = hmac.digest(secret.encode(), f"{head}.{body}".encode(), "sha256")
        assert jwt.utils.base64url_encode(expected).decode() == signature


@pytest.mark.parametrize(
    ("text", "unseen"),
    [
        ("a\0b", "U+0000 a control character"),
        ("a\r\nb", "U+000D a control character"),
        ("a\n", "U+000A a control character"),
        ("\x7f", "U+007F a control character"),
        ("\x85", "U+0085 a control character"),
        ("\u202egnp.exe", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2066b", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("ann\u200b", "U+200B ZERO WIDTH SPACE"),
        ("\ufeffann", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("a\u00adb", "U+00AD SOFT HYPHEN"),
        ("a\u2028b", "U+2028 LINE SEPARATOR"),
        ("a\u2029b", "U+2029 PARAGRAPH SEPARATOR"),
        ("a\U000e0041", "U+E0041 TAG LATIN CAPITAL LETTER A"),
        ("\ud800", "U+D800 half a character"),
        ("\u3164", "U+3164 HANGUL FILLER"),
        ("ann\uffa0", "U+FFA0 HALFWIDTH HANGUL FILLER"),
        ("\u115f", "U+115F HANGUL CHOSEONG FILLER"),
        ("ann\u1160", "U+1160 HANGUL JUNGSEONG FILLER"),
        ("ann\u17b4", "U+17B4 KHMER VOWEL INHERENT AQ"),
        ("ann\u17b5", "U+17B5 KHMER VOWEL INHERENT AA"),
        ("\u2800", "U+2800 BRAILLE PATTERN BLANK"),
        ("an\u034fn", "U+034F COMBINING GRAPHEME JOINER"),
        # What joins and varies, where there is nothing that it could change.
        ("an\u200dn", "U+200D ZERO WIDTH JOINER"),
        ("ann\u2065", "U+2065 no character"),
        ("a\ufff0nn", "U+FFF0 no character"),
        ("ann\U000e0080", "U+E0080 no character"),
        ("\u200cann", "U+200C ZERO WIDTH NON-JOINER"),
        ("иван\u200d", "U+200D ZERO WIDTH JOINER"),
        ("\u0645\u200c\u200c", "U+200C ZERO WIDTH NON-JOINER"),
        ("ann\ufe0f", "U+FE0F VARIATION SELECTOR-16"),
        ("1\ufe0f", "U+FE0F VARIATION SELECTOR-16"),
        ("ann\U000e0100", "U+E0100 VARIATION SELECTOR-17"),
        ("❤\ufe0f\ufe0f", "U+FE0F VARIATION SELECTOR-16"),
        ("ᠠ\u180e", "U+180E MONGOLIAN VOWEL SEPARATOR"),
        ("\u3000\ufe0f", "U+FE0F VARIATION SELECTOR-16"),
    ],
    ids=ascii,
)
def test_what_cannot_be_seen_in_a_name_is_named(text: str, unseen: str) -> None:
    assert find_unseen(text) == unseen


NAMES = (
    *("ann", "Ann Ü.", "a/b?c#d", "李雷", "مریم", "می\u200cخواهم", "क्\u200dष", "👩\u200d👩\u200d👧"),
    *("❤\ufe0f", "e\u0301", " ", "❤\ufe0f\u200d🔥", "1\ufe0f\u20e3", "葛\U000e0100城", "👩🏽\u200d💻", "ᠠ\u180b"),
)


@pytest.mark.parametrize("text", NAMES, ids=ascii)
def test_names_of_people_everywhere_are_names(text: str) -> None:
    assert find_unseen(text) == ""


# What Python calls printable and shows nothing by itself.
BLANK = "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"


@given(st.text())
def test_what_is_printable_can_be_seen(text: str) -> None:
    if text.isprintable() and not re.search(BLANK, text):
        assert find_unseen(text) == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ann", "ann"),
        ("a/b+c=d@e:f#g", "a/b+c=d@e:f#g"),
        ("日本語", "日本語"),
        ("g h", "'g h'"),
        ("it's", '"it\'s"'),
        ("", "''"),
        ("a\\b", r"'a\\b'"),
        ("a`b", "'a`b'"),
        ("a, b", "'a, b'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("a\u202eb", r"'a\u202eb'"),
        ("ann\u3164", r"'ann\u3164'"),
        ("\ud800", r"'\ud800'"),
    ],
)
def test_name_can_be_read_in_a_line(name: str, shown: str) -> None:
    assert show_name(name) == shown


@given(st.text(), st.text())
def test_two_names_are_never_shown_alike(one: str, other: str) -> None:
    assert (show_name(one) == show_name(other)) == (one == other)


def test_length_of_a_name_is_counted_in_utf_8() -> None:
    assert [count_bytes(name) for name in ("", "a", "é", "€", "😀", "\ud800")] == [0, 1, 2, 3, 4, 3]
