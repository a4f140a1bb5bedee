from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.errors import MachineError
from lkhub.host.keyfile import Keys, dump_keys, load_keys
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
    assert refused.value.hints == ("`lkhub up` makes them",)


@pytest.mark.parametrize("text", ["", "\n", f"API: {SECRET}", f'"API": "{SECRET}', '"API": 5\n', '"API":\n', "}{"])
def test_damaged_keys_have_a_remedy_and_are_not_repeated(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(MachineError, match="damaged") as refused:
        load_keys(str(path))
    assert refused.value.hints == ("`lkhub up` writes it anew",)
    assert SECRET not in str(refused.value)
