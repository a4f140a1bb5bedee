import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.secret import FromEnv, FromFile, Secret, parse_secret_source

# Long and of one character class, so that it can't be found in other text by chance.
SECRETS = st.text(alphabet="XYZ", min_size=12, max_size=60)


@given(SECRETS)
def test_secret_shows_itself_nowhere(text: str) -> None:
    secret = Secret(text)
    shown = (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>80}",
        repr([secret]),
        repr({1: secret}),
    )
    assert not any(text in form for form in shown)
    assert secret.reveal() == text


def test_secret_in_a_dataclass_is_hidden_and_can_be_copied() -> None:
    @dataclasses.dataclass(frozen=True)
    class Holder:
        secret: Secret

    holder = Holder(Secret("XYZXYZXYZXYZ"))
    assert "XYZ" not in repr(holder)
    assert copy.deepcopy(holder) == holder
    assert "XYZ" not in repr(dataclasses.asdict(holder))


def test_secrets_are_equal_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_source_is_the_secret_or_a_reference() -> None:
    assert parse_secret_source("abc") == Secret("abc")
    assert parse_secret_source({"file": "secret.txt"}) == FromFile("secret.txt")
    assert parse_secret_source({"env": "NAME"}) == FromEnv("NAME")


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", 5, True, [], {}, ["XYZXYZXYZ"], {"vault": "XYZXYZXYZ"}, {"file": ""}, {"file": 5}),
        *({"env": ["XYZXYZXYZ"]}, {"file": "a", "env": "b"}, {"XYZXYZXYZ": "file"}),
    ],
    ids=repr,
)
def test_anything_else_is_refused_without_being_repeated(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\{file: PATH\}") as refused:
        parse_secret_source(value)
    assert "XYZ" not in str(refused.value)
    # YAML takes `8080` and `true` for something else.
    assert ("in quotes" in str(refused.value)) == isinstance(value, int)
