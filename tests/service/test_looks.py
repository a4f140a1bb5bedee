"""Which identities look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.service.looks import find_looks


def alike(first: str, second: str) -> bool:
    return bool(set(find_looks(first)) & set(find_looks(second)))


ALIKE = (
    ("ann", "ANN"),
    ("ann", "\u0430nn"),
    ("ann", "ａｎｎ"),
    ("ann", "ＡＮＮ"),
    ("ann", "𝐚𝐧𝐧"),
    ("ann", "\ua4eenn"),
    ("ann", " ann "),
    ("ann b", "ann\u00a0b"),
    ("ann b", "ann  b"),
    ("paypal", "paypaI"),
    ("paypal", "\u0440\u0430\u0443\u0440\u0430l"),
    ("paypal", "paypa1"),
    ("Ian", "ian"),
    ("IAN", "ian"),
    ("Ian", "lan"),
    ("bob", "b0b"),
    ("BOB", "b0b"),
    ("modern", "rnodern"),
    ("admin", "\u0430dm\u0456n"),
    ("strasse", "straße"),
    ("jos\u00e9", "jose\u0301"),
    ("Kx", "kX"),
    ("\u212ax", "kx"),
    ("a-b", "a\u2010b"),
    ("用", "\u2f64"),
    ("x\u00b2", "x2"),
    ("\u03bf", "o"),
    ("Ωmega", "ωmega"),
    ("ann@example", "ann＠example"),
    ("carol", "\u03f2arol"),
    ("Carol", "\u03f9arol"),
    ("fred", "\u017fred"),
    ("山田", "山\u200d田"),
    ("山田", "山田\U000e0100"),
    ("\u05d0\u05d1", "\u05d0\u200c\u05d1"),
    ("❤", "❤\ufe0f"),
)


@pytest.mark.parametrize(("first", "second"), ALIKE, ids=ascii)
def test_what_looks_alike(first: str, second: str) -> None:
    assert alike(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ann", "anna"),
        ("ann", "avv"),
        ("user5", "users"),
        ("user1", "user2"),
        ("doit", "dolt"),
        ("中", "用"),
        ("ann", "Ann B"),
        ("и", "й"),
        ("٣", "3"),
        ("a", "å"),
        ("ann", ""),
    ],
    ids=ascii,
)
def test_what_does_not(first: str, second: str) -> None:
    assert not alike(first, second)


@given(st.text(max_size=20))
def test_every_identity_looks_like_itself_in_any_case(identity: str) -> None:
    assert find_looks(identity) == find_looks(identity)
    assert alike(identity, identity.casefold())
