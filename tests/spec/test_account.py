import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.secret import FromEnv, FromFile, Secret
from lkhub.spec.account import ExternalAccount, parse_external_account, parse_mac_key
from lkhub.spec.model import Spec


@pytest.mark.parametrize(
    ("given", "source"), [("s", Secret("s")), ({"file": "f"}, FromFile("f")), ({"env": "E"}, FromEnv("E"))]
)
def test_key_is_the_secret_or_a_reference(given: Any, source: Any) -> None:
    account = parse_external_account({"key_id": "kid-1", "mac_key": given})
    assert account == ExternalAccount("kid-1", source)
    assert parse_external_account(account) is account


@pytest.mark.parametrize("key_id", ["0b8a2b5e-7f3c", "https://ca.example.com/eab/1", "a_B~|+/="])
def test_key_id_is_as_issuers_make_it(key_id: str) -> None:
    assert parse_external_account({"key_id": key_id, "mac_key": "s"}).key_id == key_id


@pytest.mark.parametrize("key_id", ["", "two words", "{file./etc/shadow}", "Schlüssel", None, ["XYZXYZ"]])
def test_what_is_no_key_id_is_refused(key_id: Any) -> None:
    with pytest.raises(ValueError, match=r"write \{key_id: ID, mac_key: SECRET\}"):
        parse_external_account({"key_id": key_id, "mac_key": "s"})


def test_key_id_that_yaml_takes_for_a_number_goes_into_quotes() -> None:
    with pytest.raises(ValueError, match="put it in quotes"):
        parse_external_account({"key_id": 1234, "mac_key": "s"})


@given(st.binary(min_size=1, max_size=80))
def test_mac_key_is_taken_in_every_form_of_base64(key: bytes) -> None:
    wanted = base64.urlsafe_b64encode(key).decode().rstrip("=")
    for form in (base64.b64encode, base64.urlsafe_b64encode):
        assert parse_mac_key(form(key).decode()).reveal() == wanted
    assert parse_mac_key(wanted).reveal() == wanted


@pytest.mark.parametrize("text", ["", "====", "XYZXYZ XYZXYZ", "XYZXYZ\n", "XYZ.XYZ", "XYZXY"])
def test_what_is_no_mac_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="is not base64") as refused:
        parse_mac_key(text)
    assert "XYZ" not in str(refused.value)


def test_nothing_shows_the_key() -> None:
    spec = Spec.model_validate({"tls": {"account": {"key_id": "kid-1", "mac_key": "XYZXYZ"}}})
    assert "XYZ" not in repr(spec) + spec.model_dump_json()
    assert "kid-1" in spec.model_dump_json()


NOT_AN_ACCOUNT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just("XYZXYZ"),
    lambda below: (
        st.lists(below, max_size=2)
        | st.dictionaries(st.sampled_from(["key_id", "mac_key", "XYZXYZ"]), below, max_size=4)
    ),
    max_leaves=6,
).filter(lambda value: not (isinstance(value, dict) and value.get("key_id") == value.get("mac_key") == "XYZXYZ"))


@given(NOT_AN_ACCOUNT)
def test_refusal_repeats_nothing_that_was_given(value: Any) -> None:
    with pytest.raises(ValueError, match=r"write|quotes") as refused:
        parse_external_account(value)
    assert "XYZ" not in str(refused.value)
