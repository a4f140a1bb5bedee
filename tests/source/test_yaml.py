import time
import warnings

import pytest

from lkhub.source.located import Document
from lkhub.source.yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse_document

# CPU time, so that other work on the machine does not count. The scanner needs a second for the worst text that is not
# too large, on a slow machine three. Text whose time grows with its square would need minutes.
PATIENCE_SECONDS = 10.0


def parse(text: str | bytes) -> Document:
    return parse_document(text.encode() if isinstance(text, str) else text, "hub.yaml")


def say(document: Document) -> list[str]:
    return [str(fault) for fault in document.faults]


def test_every_key_and_item_has_its_line() -> None:
    document = parse("name: hub\nmedia:\n  udp: 1\n\n  interfaces:\n  - eth0\n  - wlan0\nstun: [a, b]\n")
    assert document.faults == []
    assert document.data == {
        "name": "hub",
        "media": {"udp": 1, "interfaces": ["eth0", "wlan0"]},
        "stun": ["a", "b"],
    }
    assert document.lines == {
        ("name",): 1,
        ("media",): 2,
        ("media", "udp"): 3,
        ("media", "interfaces"): 5,
        ("media", "interfaces", 0): 6,
        ("media", "interfaces", 1): 7,
        ("stun",): 8,
        ("stun", 0): 8,
        ("stun", 1): 8,
    }


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "null", "~", "\ufeff", "--- \n...\n"])
def test_nothing_is_a_spec_of_defaults(text: str) -> None:
    document = parse(text)
    assert (document.data, document.faults) == ({}, [])


@pytest.mark.parametrize("text", ["hello", "- a\n", "5", "[]", "true", "name"])
def test_anything_but_a_mapping_is_refused(text: str) -> None:
    [fault] = parse(text).faults
    assert (fault.line, fault.key) == (1, "")
    assert "mapping of keys" in fault.title


def test_scalars_are_those_of_yaml_1_2() -> None:
    document = parse("{a: yes, b: off, c: 0x10, d: 1_0, e: 010, f: ~, g: true, h: 1.5, i: '1', j: 12:30}")
    assert document.faults == []
    wanted = {"a": "yes", "b": "off", "c": 16, "e": 10, "f": None, "g": True, "h": 1.5, "i": "1", "j": "12:30"}
    assert {key: document.data[key] for key in wanted} == wanted


def test_keys_are_text_whatever_yaml_makes_of_them() -> None:
    assert parse("1: a\ntrue: b\n~: c\n").data == {"1": "a", "true": "b", "~": "c"}


def test_key_given_twice_says_where_it_was_first() -> None:
    document = parse("name: a\nmedia:\n  udp: 1\n  udp: 2\nname: b\n")
    assert say(document) == [
        "hub.yaml:4: media.udp: given twice, first on line 3\n    hint: keep one of them",
        "hub.yaml:5: name: given twice, first on line 1\n    hint: keep one of them",
    ]
    assert document.data == {"name": "a", "media": {"udp": 1}}


def test_invalid_utf_8_names_the_byte_and_its_line() -> None:
    [fault] = parse(b"name: hub\nweb: 80\n# caf\xe9\n").faults
    assert fault.line == 3
    assert fault.title == "byte 0xe9 is not valid UTF-8"
    assert fault.hint == "save the file as UTF-8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_other_encodings_are_refused(encoding: str) -> None:
    [fault] = parse("name: hub # é".encode(encoding)).faults
    assert "UTF-8" in fault.title


def test_byte_order_mark_is_no_fault() -> None:
    assert parse(b"\xef\xbb\xbfname: hub").data == {"name": "hub"}


def test_ten_megabytes_are_refused_at_once() -> None:
    began = time.process_time()
    [fault] = parse(b"name: hub\n" * 1_000_000).faults
    assert time.process_time() - began < 0.1
    assert fault.title.startswith("10,000,000 bytes is too large for a spec")
    assert fault.line is None
    assert fault.hint


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n"
    for last, name in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)

# The slowest texts for a scanner in Python, each as large as a spec may be.
GREEDY = {
    "scalars": "a: [" + "1," * MAX_BYTES,
    "open-mappings": "{" * MAX_BYTES,
    "nested-mappings": "\n".join(" " * depth + "a:" for depth in range(1000)),
    "items": "- a\n" * MAX_BYTES,
    "directives": "%a\n" * MAX_BYTES,
    "quotes": '"' + "\\x41" * MAX_BYTES,
}


@pytest.mark.parametrize("name", [*GREEDY, "bomb"])
def test_greedy_text_ends_soon(name: str) -> None:
    text = BOMB if name == "bomb" else GREEDY[name][:MAX_BYTES]
    began = time.process_time()
    parse(text)
    assert time.process_time() - began < PATIENCE_SECONDS


def test_bomb_of_aliases_is_refused() -> None:
    document = parse(BOMB)
    [fault] = document.faults
    assert fault.title == f"more than {MAX_NODES:,} values, aliases counted"
    assert document.data == {}


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "&a {a: *a}"])
def test_value_that_holds_itself_is_refused(text: str) -> None:
    [fault] = parse(text).faults
    assert fault.title == f"nested more than {MAX_DEPTH} levels deep"


def test_depth_that_a_person_could_write_is_read() -> None:
    depth = MAX_DEPTH - 1
    document = parse("a: " + "[" * depth + "]" * depth)
    assert document.faults == []
    assert len(parse("a: " + "[" * (depth + 3) + "]" * (depth + 3)).faults) == 1


def test_alias_is_its_anchor() -> None:
    document = parse("a: &x {b: 1}\nc: *x\n")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}


def test_anchor_used_twice_is_no_warning() -> None:
    """Python would print the warning with the lines around it, and a secret on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse("a: &x 1\nb: &x 2\nc: *x\n").data == {"a": 1, "b": 2, "c": 2}


@pytest.mark.parametrize(
    "value",
    [
        *("!!bool x", '!!int ""', "!!int x", '!!float ""', "!!float x", "!!timestamp x", "2001-13-45", "9" * 5000),
        *("2001-01-01T00:00:00+99:99", "!!binary é", "!unknown x", "!!python/object:os.system x", "!!null 0x", "!!seq"),
    ],
)
def test_value_that_yaml_cannot_read_is_at_most_one_fault(value: str) -> None:
    document = parse(f"name: hub\nx: {value}\n")
    assert len(document.faults) <= 1
    assert all((fault.line, fault.key) == (2, "x") for fault in document.faults)
    assert document.data["name"] == "hub"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1\nb: 2\n", 2),
        ("a: 1\n b: 2\n", 2),
        ("a: 'x\n\n", 3),
        ("a:\n\tb: 1\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("%YAML 7.0\n---\na: 1\n", 1),
        ("a: @x\n", 1),
        ("a: *nowhere\n", 1),
        ("a: %x\n", 1),
        ("a: `x`\n", 1),
        ("}{", 1),
    ],
)
def test_what_is_not_yaml_is_one_fault_with_its_line(text: str, line: int) -> None:
    document = parse(text)
    [fault] = document.faults
    assert fault.line == line
    assert fault.title.startswith("not YAML: ")
    assert "('<" not in fault.title, "the parser's own data structures are no text for people"
    assert "not YAML: but" not in fault.title, "half a sentence"
    assert document.data == {}


def test_tabs_have_a_hint() -> None:
    [fault] = parse("a:\n\tb: 1\n").faults
    assert fault.hint == "indent with spaces"


@pytest.mark.parametrize(
    ("text", "problem", "sign"),
    [
        ("a: *x", "an alias", "*"),
        ("a: *", "an alias", "*"),
        ("a: &x *y", "an alias", "*"),
        ("a: !x!y z", "a tag", "!"),
        ("a: !<x", "a tag", "!"),
        ("a: !a !b x", "a tag", "!"),
        ("a: & b", "an anchor", "&"),
        ("a: &a &b x", "an anchor", "&"),
    ],
)
def test_text_that_yaml_takes_for_something_else_is_to_be_put_in_quotes(text: str, problem: str, sign: str) -> None:
    [fault] = parse(f"{text}\n").faults
    assert fault.title == f"not YAML: {problem} that means nothing here"
    assert fault.hint == f"put text that begins with {sign} in quotes"


@pytest.mark.parametrize("text", ["a: 1\n---\nb: 2\n", "a: 1\n---\n", "a: 1\n...\n*b : 2\n"])
def test_a_second_document_is_named(text: str) -> None:
    [fault] = parse(text).faults
    assert (fault.title, fault.hint) == ("not YAML: a second document", "remove the line with ---")


@pytest.mark.parametrize("text", ["a: [an alias, a tag, another document\n", "a: 'an anchor and a \\t\n"])
def test_words_of_the_spec_choose_no_hint(text: str) -> None:
    [fault] = parse(text).faults
    assert fault.hint == ""


@pytest.mark.parametrize("control", ["\x00", "\x07", "\x1b", "\x7f"])
def test_control_characters_are_refused(control: str) -> None:
    [fault] = parse(f"a: x{control}y\n").faults
    assert fault.title.startswith("not YAML: ")
    assert control not in fault.title


def test_item_after_one_that_cannot_be_read_keeps_its_number() -> None:
    document = parse("a:\n- !!int x\n- 5\n- 6\n")
    assert [fault.key for fault in document.faults] == ["a[0]"]
    assert document.lines[("a", 2)] == 4
