"""The reader of guides notices every difference from the guide."""

from pathlib import Path

import pytest

from tests.kit.guide import Desk, follow, is_among

PAGE = """
```yaml hub.yaml
name: studio
```

```sh
grep name hub.yaml
export COLOUR=blue
```

```text
name: studio
```

```sh
sudo echo "$COLOUR at 192.168.1.5, port 7882"
echo token > tokens
```

```text
blue … port 1
```

```text
this one follows no command
```

```sh elsewhere
cat tokens
```

```text
token
```
"""


def make_desk(folder: Path, name: str) -> Desk:
    (folder / name).mkdir()
    return Desk(folder / name)


def test_a_page_is_followed_on_both_machines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    follow(page, make_desk(tmp_path, "hub"), make_desk(tmp_path, "elsewhere"), {"192.168.1.5": "10.0.0.1"})


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: studio\n```\n\n```sh\nsudo", "name: attic\n```\n\n```sh\nsudo", "not printed"),
        ("grep name", "grep colour", "exit 1"),
        ("cat tokens", "cat keys", "exit 1"),
    ],
    ids=["text", "command", "elsewhere"],
)
def test_what_is_otherwise_is_told(tmp_path: Path, old: str, new: str, problem: str) -> None:
    page = tmp_path / "page.md"
    assert old in PAGE
    page.write_text(PAGE.replace(old, new))
    with pytest.raises(AssertionError, match=problem):
        follow(page, make_desk(tmp_path, "hub"), make_desk(tmp_path, "elsewhere"))


@pytest.mark.parametrize(
    ("line", "printed", "found"),
    [
        ("  udp  ok  in 98 ms", "udp      ok      in 7 ms", True),
        ("  udp  ok  in 98 ms", "udp      FAILS   in 7 ms", False),
        ("to udp host 192.168.1.5:7882", "to udp host 10.0.0.1:443", True),
        ("a … c", "a b c", True),
        ("a … c", "a b d", False),
        ("a", "a b", False),
    ],
)
def test_numbers_and_spaces_may_be_others(line: str, printed: str, found: bool) -> None:
    assert is_among(line, printed) is found
