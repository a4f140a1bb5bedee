"""What two globs have to do with each other, against all short names."""

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.globs import glob_covers, globs_meet

NAMES = ["".join(name) for length in range(5) for name in product("ab]![", repeat=length)]
GLOBS = st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[]a]", "[", "]", "!"]), max_size=4).map("".join)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("*", "voice-*", True),
        ("stage-*", "voice-*", False),
        ("a*", "*b", True),
        ("voice-1", "voice-*", True),
        ("voice-1", "voice-?", True),
        ("voice-10", "voice-?", False),
        ("team/*", "*/staff", True),
        ("[ab]x", "cx", False),
        ("[]", "[?", True),
        ("[!]", "[??", True),
        ("", "*", True),
        ("a", "A", False),
    ],
)
def test_globs_meet(one: str, other: str, meet: bool) -> None:
    assert globs_meet(one, other) is meet
    assert globs_meet(other, one) is meet


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        ("*", "voice-*", True),
        ("voice-*", "*", False),
        ("voice-*", "voice-*", True),
        ("voice-*", "voice-staff-*", True),
        ("voice-?", "voice-*", False),
        ("voice-?", "voice-1", True),
        ("voice-[12]", "voice-1", True),
        ("voice-[12]", "voice-?", False),
        ("*a*", "*ba", True),
    ],
)
def test_glob_covers(one: str, other: str, covers: bool) -> None:
    assert glob_covers(one, other) is covers


@given(GLOBS, GLOBS)
def test_what_is_certain_is_so(one: str, other: str) -> None:
    ones, others = ({name for name in NAMES if fnmatchcase(name, glob)} for glob in (one, other))
    if not globs_meet(one, other):
        assert not ones & others
    if glob_covers(one, other):
        assert others <= ones


@given(GLOBS)
def test_a_glob_meets_and_covers_itself(glob: str) -> None:
    assert globs_meet(glob, glob)
    assert glob_covers(glob, glob)


def test_long_globs_end() -> None:
    assert globs_meet("*" + "a*" * 500, "*" + "?" * 500 + "b")
    assert not glob_covers("a*" * 500, "a*" * 499)
