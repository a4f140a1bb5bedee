import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.secret import Secret, SecretError
from lkhub.spec.keyfile import parse_key_file

SECRET = "XYZ" * 15


def reject(text: str) -> tuple[str, ...]:
    """The faults of a key file; also checks that they repeat no secret."""
    with pytest.raises(SecretError) as refused:
        parse_key_file(text.encode(), "keys.yaml")
    assert SECRET[:20] not in str(refused.value)
    return refused.value.problems


def test_key_file_gives_its_keys_in_their_order() -> None:
    text = f"# two\nAPInew: {SECRET}\n'APIold': \"{SECRET}old\"\n"
    keys = parse_key_file(text.encode(), "keys.yaml")
    assert list(keys.items()) == [("APInew", Secret(SECRET)), ("APIold", Secret(f"{SECRET}old"))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"API:{SECRET}", "keys.yaml:1: no space after the colon"),
        (f"{SECRET}: API", "keys.yaml:1: key and secret look swapped"),
        (f"- API: {SECRET}", "keys.yaml:1: a list"),
        (f"\nAPI: {SECRET[:31]}", "keys.yaml:2: the secret has 31 characters"),
        ("", "keys.yaml: no key in it"),
        ("# nothing\n", "keys.yaml: no key in it"),
        ("~", "keys.yaml:1: no key in it"),
        ("API:", "keys.yaml:1: the secret is empty"),
        (f'"": {SECRET}', "keys.yaml:1: the key is empty"),
        (f'" ": {SECRET}', "keys.yaml:1: the key is empty"),
        (f"? [a, b]\n: {SECRET}", "keys.yaml:1: a key must be plain text"),
        ("API: 0x" + "f" * 60, "keys.yaml:1: YAML does not read the secret as text; put it in quotes"),
        ("API: {a: b}", "keys.yaml:1: YAML does not read the secret as text"),
        (f"API: [{SECRET}]", "keys.yaml:1: YAML does not read the secret as text"),
        (f"API: !{SECRET}", "keys.yaml:1: not a value that YAML can read"),
        (f"API: *{SECRET}", "keys.yaml:1: not YAML: an alias that means nothing here"),
        (f"API: &a {SECRET}\nAPI2: &a {SECRET}\nAPI: {SECRET}", "keys.yaml:3: given twice, first on line 1"),
        (f"API: '{SECRET}", "keys.yaml:1: not YAML"),
        ("API: !!bool x", "keys.yaml:1: not a value that YAML can read"),
        ("!!bool x", "keys.yaml:1: not a value that YAML can read"),
        ("5", "keys.yaml:1: not a mapping"),
        ("[" * 500, "keys.yaml: nested"),
        ("a: &a [*a]", "keys.yaml:1: nested more than"),
        ("x" * 200_000, "keys.yaml: 200,000 bytes is too large"),
    ],
    ids=lambda value: value[:25],
)
def test_wrong_key_file_is_explained_at_its_line(text: str, said: str) -> None:
    [problem] = reject(text)
    assert problem.startswith(said)


def test_every_wrong_pair_is_reported_with_its_line() -> None:
    good = "".join(f"API{number}: {SECRET}\n" for number in range(8))
    text = f"API: short\n{SECRET}: API\n{good}APIempty:\nAPInumber: {'5' * 40}\nAPI: {SECRET}\nAPIodd: !!bool x\n"
    problems = reject(text)
    assert [problem.split(";")[0] for problem in problems] == [
        "keys.yaml:1: the secret has 5 characters, 32 are needed",
        "keys.yaml:2: key and secret look swapped: the key is the short name",
        "keys.yaml:11: the secret is empty",
        "keys.yaml:12: YAML does not read the secret as text",
        "keys.yaml:13: given twice, first on line 1",
        "keys.yaml:14: not a value that YAML can read",
    ]
    assert str(SecretError(*problems)) == "; ".join(problems)


@given(st.binary(max_size=500))
def test_random_bytes_give_keys_or_problems(raw: bytes) -> None:
    found: object
    try:
        found = parse_key_file(raw, "keys.yaml")
    except SecretError as error:
        found = error.problems
    assert found
