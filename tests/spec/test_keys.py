import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.secret import FromEnv, FromFile, Secret, WholeFile
from lkhub.spec.keys import (
    MIN_SECRET_LENGTH,
    GivenKey,
    KeyFile,
    KeyFromEnv,
    check_pair,
    explain_keys,
    parse_key_source,
)

SECRET = "XYZ" * 15
FORM = "source: {key: NAME, secret: AT_LEAST_32_CHARACTERS}"


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("managed", "managed"),
        ({"key": "API", "secret": SECRET}, GivenKey("API", Secret(SECRET))),
        ({"key": "API", "secret": {"file": "s.txt"}}, GivenKey("API", FromFile("s.txt"))),
        ({"key": "API", "secret": {"env": "S"}}, GivenKey("API", FromEnv("S"))),
        ({"file": "keys.yaml"}, KeyFile(WholeFile("keys.yaml"))),
        ({"env": ["K", "S"]}, KeyFromEnv(FromEnv("K"), FromEnv("S"))),
    ],
    ids=str,
)
def test_source_is_read_and_reading_it_again_changes_nothing(value: Any, source: Any) -> None:
    assert parse_key_source(value) == source
    assert parse_key_source(parse_key_source(value)) == source


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"API:{SECRET}", "without a space after the colon"),
        ({"key": SECRET, "secret": "API"}, "look swapped"),
        (["API", SECRET], "a list, but a key and its secret are a mapping"),
        ({"key": "API", "secret": SECRET[:31]}, "the secret has 31 characters, 32 are needed"),
        (None, "empty"),
        ("", "empty"),
        ({}, "empty"),
        ([], "empty"),
        ({"key": "API", "secret": ""}, ""),
        ({"key": "API", "secret": None}, ""),
        ({"key": "", "secret": SECRET}, "the key is empty"),
        ({"key": 5, "secret": SECRET}, "not text"),
        ({"key": "API"}, "go together"),
        ({"secret": SECRET}, "go together"),
        ({"key": "API", "secret": SECRET, "file": "x"}, "nothing else"),
        ({"env": "K"}, "names of two variables"),
        ({"env": ["K"]}, "names of two variables"),
        ({"env": ["K", ""]}, "names of two variables"),
        ({"file": 5}, "not a source of keys"),
        ({"file": ""}, "not a source of keys"),
        ({"API": SECRET}, "not a source of keys"),
        (f"API {SECRET}", "text where a source of keys is expected"),
        (5, "not a source of keys"),
        (True, "not a source of keys"),
    ],
    ids=str,
)
def test_wrong_source_says_what_is_wrong_and_the_right_form(value: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_key_source(value)
    message = str(refused.value)
    assert said in message
    assert "write" in message
    assert SECRET[:31] not in message


FIVE_WRONG_WAYS = {
    "no space": f"API:{SECRET}",
    "swapped": {SECRET: "API"},
    "list": [{"API": SECRET}],
    "short": {"API": SECRET[:31]},
    "empty": None,
}


def test_five_wrong_forms_have_five_messages() -> None:
    messages = {name: explain_keys(value) for name, value in FIVE_WRONG_WAYS.items()}
    assert len(set(messages.values())) == 5, messages
    assert all("write" in message for message in messages.values())
    assert SECRET[:31] not in str(messages)


@given(st.text("XYZ ", max_size=70), st.text("ABC", min_size=1, max_size=70))
def test_pair_is_taken_if_the_secret_is_long_enough(secret: str, key: str) -> None:
    sound = len(secret) >= MIN_SECRET_LENGTH and bool(secret.strip())
    with contextlib.nullcontext() if sound else pytest.raises(ValueError, match="write"):
        check_pair(key, secret)


def test_characters_that_a_yaml_or_env_file_could_change_are_refused() -> None:
    for key, secret in (("API", "é" * 32), ("API", "🎈" * 32), ("AP\nI", "s" * 32)):
        with pytest.raises(ValueError, match="plain ASCII"):
            check_pair(key, secret)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"sorce": "managed"}, "did you mean source?"),
        ({"sources": {"file": "keys.yaml"}}, "did you mean source?"),
        ({"file": "keys.yaml"}, "source: {file"),
        ({"env": ["K", "S"]}, "source: {env"),
        ({"key": "API", "secret": SECRET}, FORM),
        ({"API": SECRET}, FORM),
        ({"source": "managed", "API": SECRET}, FORM),
        ("managed", "source"),
        (5, FORM),
    ],
    ids=str,
)
def test_keys_without_a_source_are_explained(value: Any, said: str) -> None:
    message = explain_keys(value)
    assert said in message
    assert SECRET not in message
