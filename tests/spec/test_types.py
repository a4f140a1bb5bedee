"""Values of a spec that YAML has no type for."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.spec.address import parse_addresses, parse_host_port, parse_network, parse_networks, parse_stun
from lkhub.spec.domain import parse_domain
from lkhub.spec.issuer import parse_issuer
from lkhub.spec.ports import parse_port, parse_port_or_off, parse_port_range
from lkhub.spec.types import parse_email, parse_file_path
from tests.spec.refusing import refuse

JUNK = st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.binary(), st.lists(st.integers()), st.dates())


PARSERS: tuple[Callable[[Any], object], ...] = (
    *(parse_port, parse_port_or_off, parse_port_range, parse_addresses, parse_host_port, parse_stun),
    *(parse_domain, parse_email, parse_file_path, parse_network, parse_networks, parse_issuer),
)


@given(JUNK)
def test_anything_else_is_refused_in_few_words(value: Any) -> None:
    for parse in PARSERS:
        told = refuse(parse, value)
        assert len(told) < 250
        assert told.isprintable()


@pytest.mark.parametrize("value", ["ops@example.com", "a+b@c", "ü@example.com"])
def test_email_is_taken_as_it_is(value: str) -> None:
    assert parse_email(value) == value


@pytest.mark.parametrize("value", ["", "ops", "@example.com", "ops@", "a b@c", "a@b@c", "a@b\n", 5, None])
def test_what_is_no_email_is_refused(value: Any) -> None:
    assert "is not an e-mail address" in refuse(parse_email, value)


@pytest.mark.parametrize("value", ["", " ", "a\0b", "a\nb", 5, None, ["a"], True])
def test_what_is_no_path_is_refused(value: Any) -> None:
    assert "is not the path of a file" in refuse(parse_file_path, value)
    assert parse_file_path("./a b/ü.pem") == "./a b/ü.pem"
