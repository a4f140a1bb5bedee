"""The DNS name of a hub."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.domain import parse_domain
from tests.spec.refusing import refuse

LABELS = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z")
TOP_LABELS = st.from_regex(r"\A[a-z]([a-z0-9-]{0,20}[a-z0-9])?\Z")
DOMAINS = st.tuples(st.lists(LABELS, min_size=1, max_size=4), TOP_LABELS).map(
    lambda parts: ".".join([*parts[0], parts[1]])
)


@given(DOMAINS, st.booleans())
def test_domain_is_a_name_in_lower_case(name: str, rooted: bool) -> None:
    assert parse_domain(name) == name
    assert parse_domain(name.upper() + "." * rooted) == name


@given(st.text(st.characters(max_codepoint=0x3000), max_size=40))
def test_whatever_is_taken_for_a_domain_can_stand_in_a_url_and_a_certificate(text: str) -> None:
    if not refuse(parse_domain, text):
        name = parse_domain(text)
        assert re.fullmatch(r"[a-z0-9.-]+", name)
        assert not re.search(r"(^|\.)-|-(\.|$)|\.\.", name)
        assert urlsplit(f"https://{name}:443/").hostname == name
        assert parse_domain(name) == name


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("https://rtc.example.com", "is a URL; write the name alone"),
        ("wss://rtc.example.com/", "is a URL; write the name alone"),
        ("192.168.1.5", "is an IP address; write a DNS name"),
        ("[fd00::5]", "is an IP address; write a DNS name"),
        ("fd00::5", "is an IP address; write a DNS name"),
        ("localhost", "is not a DNS name such as rtc.example.com"),
        ("rtc.example.com:443", "is not a DNS name"),
        ("rtc.example.com/x", "is not a DNS name"),
        ("*.example.com", "is not a DNS name"),
        ("a_b.example.com", "is not a DNS name"),
        ("-a.example.com", "is not a DNS name"),
        ("a..example.com", "is not a DNS name"),
        ("a.example.com..", "is not a DNS name"),
        # Browsers take these for IPv4 addresses.
        ("1.2.3", "is not a DNS name"),
        ("0x7f.1", "is not a DNS name"),
        (f"{'a' * 64}.example.com", "is not a DNS name"),
        (".".join(["a" * 60] * 5), "is not a DNS name"),
        ("", " is not a DNS name"),
        ("münchen.example", "write its ASCII form, xn--mnchen-3ya.example"),
        (None, "nothing is not a DNS name"),
        (5, "5 is not a DNS name"),
        (["a.b"], "a list is not a DNS name"),
    ],
    ids=str,
)
def test_wrong_domain_says_what_is_wrong(value: Any, said: str) -> None:
    assert said in refuse(parse_domain, value)
