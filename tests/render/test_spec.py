import re

import pytest

from lkhub.render.spec import render_spec
from lkhub.spec.load import load_spec
from tests.test_docs import FIELDS


@pytest.mark.parametrize("reach", ["local", "lan"])
def test_first_spec_is_sound_and_says_what_was_chosen(reach: str) -> None:
    loaded = load_spec(render_spec(reach, "my-hub").encode())
    assert loaded.faults == []
    assert (loaded.spec.reach, loaded.spec.name, loaded.spec.version) == (reach, "my-hub", 1)
    assert set(loaded.document.data) == {"version", "name", "reach"}


def test_every_key_is_shown_with_its_words() -> None:
    text = render_spec("local", "hub")
    flat = " ".join(re.sub(r"^[#\s]+", "", line) for line in text.splitlines())
    for key, words in FIELDS:
        assert re.search(rf"^(#\s+)?{key.rpartition('.')[2]}:", text, re.MULTILINE), key
        assert " ".join(words.split()) in flat, key


def uncomment(text: str) -> str:
    """The spec with its commented keys in force, as a person would do it: `# ` is taken off where a key follows."""
    return re.sub(r"^# (?=(  )?[a-z]+:)", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("reach", ["local", "lan"])
def test_commented_keys_are_sound_when_they_are_uncommented(reach: str) -> None:
    loaded = load_spec(uncomment(render_spec(reach, "hub")).encode())
    assert loaded.faults == []
    assert set(loaded.document.data) == {key for key, _ in FIELDS if "." not in key}


def test_lines_fit_a_terminal() -> None:
    assert max(len(line) for line in render_spec("local", "hub").splitlines()) <= 100
    assert not re.search(r"[ \t]$", render_spec("local", "hub"), re.MULTILINE)
