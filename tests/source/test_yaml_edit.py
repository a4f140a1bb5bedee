import pytest

from lkhub.source.path import Path
from lkhub.source.yaml import parse_document
from lkhub.source.yaml_edit import replace_values

TEXT = """# é
a: one  # a comment
b: {x: "two", y: [three, 'four']}\r
c: five
  six
d: &anchor seven
e: *anchor
f: !!str eight
g: >
  nine
h:"""


@pytest.mark.parametrize(
    "path", [("a",), ("b", "x"), ("b", "y", 0), ("b", "y", 1), ("c",)], ids=lambda path: ".".join(map(str, path))
)
@pytest.mark.parametrize("value", ["/srv/x", "/srv/a b, {c}: 'd' \"e\" # é \\n", ""])
def test_value_alone_is_replaced(path: Path, value: str) -> None:
    text = replace_values(TEXT, {path: value})
    before, after = parse_document(TEXT.encode(), "a"), parse_document(text.encode(), "a")
    assert after.faults == []
    data: object = after.data
    for step in path:
        data = data[step]  # type: ignore[index]
    assert data == value
    changed = {key for key in before.data if before.data[key] != after.data[key]}
    assert changed == {path[0]}
    assert "# a comment" in text


def test_several_values_are_replaced() -> None:
    assert replace_values("a: b\nc: [d, e]\n", {("c", 1): "/x", ("a",): "/yyyyy", ("c", 0): "/z"}) == (
        "a: /yyyyy\nc: [/z, /x]\n"
    )


@pytest.mark.parametrize(
    "path", [("d",), ("e",), ("f",), ("g",), ("h",), ("b",), ("b", "z"), ("b", "y", 7), ("a", "x"), ("z",)], ids=str
)
def test_what_is_not_one_plain_value_stays(path: Path) -> None:
    assert replace_values(TEXT, {path: "/x"}) == TEXT


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "\t"])
def test_text_without_the_value_stays(text: str) -> None:
    assert replace_values(text, {("a",): "/x"}) == text
