from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.errors import ANOTHER, InputError, MachineError
from lkhub.host.keyfile import Keys, add_current, dump_keys, load_keys, order_for_receiver, revoke_key
from lkhub.secret import Secret
from lkhub.spec.keyfile import parse_key_file

SECRET = "XYZ" * 15


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyfile") / "keys.yaml"


CHARACTERS = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
NAMES = st.text(CHARACTERS, min_size=1).filter(str.strip)
SECRETS = st.text(CHARACTERS, min_size=32).filter(str.strip)


@given(st.dictionaries(NAMES, SECRETS.map(Secret), min_size=1, max_size=4))
def test_keys_are_read_as_they_were_written_here_and_as_yaml(path: Path, keys: Keys) -> None:
    path.write_text(dump_keys(keys))
    assert list(load_keys(str(path)).items()) == list(keys.items())
    assert list(parse_key_file(path.read_bytes(), "keys.yaml").items()) == list(keys.items())


def test_secret_of_digits_stays_text(path: Path) -> None:
    keys = {"123": Secret("4" * 40), "yes": Secret("0x" + "1" * 40)}
    path.write_text(dump_keys(keys))
    assert load_keys(str(path)) == parse_key_file(path.read_bytes(), "keys.yaml") == keys


def test_keys_of_a_hub_that_never_ran_have_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no keys yet") as refused:
        load_keys(str(tmp_path / "keys.yaml"))
    assert refused.value.hints == ("`lkhub up` starts it, and makes them", ANOTHER)


@pytest.mark.parametrize("text", ["", "\n", f"API: {SECRET}", f'"API": "{SECRET}', '"API": 5\n', '"API":\n', "}{"])
def test_damaged_keys_have_a_remedy_and_are_not_repeated(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(MachineError, match="damaged") as refused:
        load_keys(str(path))
    assert refused.value.hints == ("`lkhub up` writes it anew",)
    assert SECRET not in str(refused.value)


RING: Keys = {name: Secret(SECRET) for name in ("APIc", "APIb", "APIa")}


def test_new_key_is_the_current_one_and_the_others_keep_their_order() -> None:
    assert list(add_current(RING, "APId", Secret(SECRET))) == ["APId", "APIc", "APIb", "APIa"]
    assert list(add_current(RING, "APIa", Secret(SECRET))) == ["APIa", "APIc", "APIb"]


@pytest.mark.parametrize("name", ["APIb", "APIa"])
def test_retiring_key_can_be_revoked(name: str) -> None:
    assert list(revoke_key(RING, name)) == [each for each in RING if each != name]


@pytest.mark.parametrize(
    ("keys", "name", "why"),
    [
        (RING, "APIx", "no such key"),
        (RING, "", "no such key"),
        (RING, SECRET, "no such key"),
        (RING, "APIc", "the current key"),
        ({"APIc": Secret(SECRET)}, "APIc", "the hub's only key"),
    ],
)
def test_key_that_must_stay_can_not_be_revoked(keys: Keys, name: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as refused:
        revoke_key(keys, name)
    assert refused.value.hints
    assert SECRET not in str(refused.value), "the secret is easily taken for the key"


@given(st.lists(st.integers(0, 5), max_size=20))
def test_ring_always_has_a_key_to_sign_with(steps: list[int]) -> None:
    keys: Keys = {"first": Secret(SECRET)}
    for turn, step in enumerate(steps):
        try:
            keys = add_current(keys, f"k{turn}", Secret(SECRET)) if step > 2 else revoke_key(keys, list(keys)[step])
        except (InputError, IndexError):
            continue
        assert next(iter(keys)) == max(keys, key=lambda name: int(name[1:]) if name != "first" else -1)
    assert keys


def test_receiver_gets_signatures_of_the_key_that_it_knows() -> None:
    assert order_for_receiver(RING, "APIa") == ("APIa", "APIc", "APIb")
    assert order_for_receiver(RING, "APIc") == ("APIc", "APIb", "APIa")
    for unknown in ("", "APIrevoked"):
        assert order_for_receiver(RING, unknown) == ("APIc", "APIb", "APIa"), "its key was revoked"
