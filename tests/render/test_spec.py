import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkhub.render.spec import render_spec
from lkhub.source.yaml import parse_plain
from lkhub.spec.load import load_spec
from tests.test_docs import FIELDS

SINGLE_PORT: dict[str, Any] = {
    "reach": "public",
    "domain": "rtc.example.com",
    "tls": {"http": "off"},
    "media": {"udp": 443, "tcp": "off"},
    "turn": {"udp": "off"},
}


@pytest.mark.parametrize("reach", ["local", "lan", "public"])
def test_first_spec_is_sound_and_says_what_was_chosen(reach: str) -> None:
    loaded = load_spec(render_spec({"reach": reach, "name": "my-hub"}).encode())
    assert loaded.faults == []
    assert (loaded.spec.reach, loaded.spec.name, loaded.spec.version) == (reach, "my-hub", 1)
    assert set(loaded.document.data) == {"version", "name", "reach"}


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co", "Zl", "Zp"))))
def test_any_text_is_written_as_yaml_that_means_it(name: str) -> None:
    data, document = parse_plain(render_spec({"name": name}).encode(), "")
    assert (document.faults, data["name"]) == ([], name)


def test_choice_inside_a_part_is_in_force_and_the_rest_of_the_part_is_not() -> None:
    loaded = load_spec(render_spec(SINGLE_PORT).encode())
    assert loaded.faults == []
    assert loaded.document.data == {"version": 1, **SINGLE_PORT}


@pytest.mark.parametrize("chosen", [{"reach": "local"}, SINGLE_PORT], ids=["plain", "nested"])
def test_every_key_is_shown_with_its_words(chosen: dict[str, Any]) -> None:
    text = render_spec(chosen)
    flat = " ".join(re.sub(r"^[#\s]+", "", line) for line in text.splitlines())
    for key, words in FIELDS:
        assert re.search(rf"^[#\s]*{key.rpartition('.')[2]}:", text, re.MULTILINE), key
        assert " ".join(words.split()) in flat, key


KEYS = "|".join({key.rpartition(".")[2] for key, _ in FIELDS})


PARTS = {key.rpartition(".")[0] for key, _ in FIELDS}


def uncomment(text: str) -> str:
    """The spec with its commented keys in force, as a person would do it: `# ` is taken off where a key follows."""
    return re.sub(rf"^# (?=(  )*({KEYS}):)|^(?P<inner>  )# (?=({KEYS}):)", r"\g<inner>", text, flags=re.MULTILINE)


def list_keys(data: dict[str, Any], above: str = "") -> Iterator[str]:
    """Every key of the data, dotted. What is below some of them is a value."""
    for key, value in data.items():
        yield f"{above}{key}"
        if isinstance(value, dict) and f"{above}{key}" in PARTS:
            yield from list_keys(value, f"{above}{key}.")


@pytest.mark.parametrize("chosen", [{"reach": "local"}, {"reach": "lan"}, SINGLE_PORT], ids=["local", "lan", "nested"])
def test_commented_keys_are_sound_when_they_are_uncommented(chosen: dict[str, Any]) -> None:
    loaded = load_spec(uncomment(render_spec(chosen)).encode())
    assert loaded.faults == []
    assert set(list_keys(loaded.document.data)) == {key for key, _ in FIELDS}


@pytest.mark.parametrize("chosen", [{"reach": "local"}, SINGLE_PORT], ids=["plain", "nested"])
def test_lines_fit_a_terminal(chosen: dict[str, Any]) -> None:
    assert max(len(line) for line in render_spec(chosen).splitlines()) <= 100
    assert not re.search(r"[ \t]$", render_spec(chosen), re.MULTILINE)
