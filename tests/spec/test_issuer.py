"""The issuer of a certificate."""

from typing import Any, get_args

import pytest

from lkhub.spec.issuer import DIRECTORIES, Known, parse_issuer
from tests.spec.refusing import refuse


@pytest.mark.parametrize(
    "value",
    [
        *("auto", "letsencrypt", "zerossl", "google"),
        *("https://acme.example.com/directory", "https://127.0.0.1:14000/dir", "https://[::1]:14000/dir"),
    ],
)
def test_issuer_is_a_name_or_a_directory(value: str) -> None:
    assert parse_issuer(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("", "LetsEncrypt", "lets-encrypt", "http://acme.example.com", "https://", "https:///dir", "https://["),
        *(
            "https://a:0",
            "https://a:x",
            "https://a:70000",
            "https://a b",
            "https://a\n",
            5,
            None,
            ["auto"],
            {"a": 1},
            True,
        ),
    ],
    ids=repr,
)
def test_what_is_no_issuer_is_refused_with_what_is(value: Any) -> None:
    told = refuse(parse_issuer, value)
    assert told.isprintable()
    assert "write auto, letsencrypt, zerossl, google, or the https:// URL of an ACME directory" in told


def test_every_named_issuer_has_a_directory() -> None:
    assert set(DIRECTORIES) == set(get_args(Known))
    for url in DIRECTORIES.values():
        assert parse_issuer(url) == url
