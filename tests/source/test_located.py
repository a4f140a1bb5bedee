import pytest

from lkhub.source.located import Document
from lkhub.source.path import dotted


def test_line_of_what_is_not_there_is_that_of_what_is_around_it() -> None:
    document = Document("hub.yaml", lines={("name",): 1, ("media",): 2, ("media", "udp"): 3})
    assert document.line(("media", "udp", 3, "x")) == 3
    assert document.line(("media", "tcp")) == 2
    assert document.line(("turn", "udp")) is None
    assert document.line(()) is None


@pytest.mark.parametrize(
    ("path", "text"), [((), ""), (("a",), "a"), (("a", "b"), "a.b"), (("a", 0, "b"), "a[0].b"), ((0, 1), "[0][1]")]
)
def test_path_is_dotted(path: tuple[str | int, ...], text: str) -> None:
    assert dotted(path) == text
