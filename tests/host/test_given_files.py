"""Files that are to be judged: read within limits, and never waited for."""

import os
from pathlib import Path

import pytest

from lkhub.errors import InputError
from lkhub.host import given_files
from lkhub.host.given_files import read_given

SUFFIXES = ("yaml", "yml")


def read(*paths: Path) -> dict[str, str | None]:
    return {os.path.basename(each.path): each.text for each in read_given(paths, SUFFIXES)}


def test_folder_gives_the_files_below_it_with_such_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/c.yml.example", "a/d.YAML", "notes.txt", "node_modules/x/e.yaml", ".git/f.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert read(tmp_path) == {"b.yaml": "b.yaml", "c.yml.example": "a/c.yml.example", "d.YAML": "a/d.YAML"}
    assert read(tmp_path / "notes.txt") == {"notes.txt": "notes.txt"}, "it was named"


def test_file_that_is_found_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a")
    assert len(read_given([tmp_path, tmp_path / "a.yaml", tmp_path], SUFFIXES)) == 1


def test_what_can_not_be_read_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.yaml").write_bytes(b"#" * (given_files.MAX_BYTES + 1))
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "again").symlink_to(tmp_path)
    found = {os.path.basename(each.path): each.left for each in read_given([tmp_path], SUFFIXES)}
    assert found == {
        "pipe.yaml": "it is no file",
        "binary.yaml": "it is no text of UTF-8",
        "large.yaml": "it is over 1,048,576 bytes",
    }
    [named] = read_given([tmp_path / "loop.yaml"], SUFFIXES)
    assert named.text is None
    assert named.left.startswith("it can't be read: ")


def test_mark_of_utf_8_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfport: 1\n")
    assert read(tmp_path) == {"a.yaml": "port: 1\n"}


def test_all_paths_where_nothing_is_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path / "a", tmp_path, tmp_path / "b")
    assert refused.value.message == f"there is no {tmp_path}/a\nthere is no {tmp_path}/b"


def test_folder_with_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (tmp_path / f"{number}.yaml").touch()
    monkeypatch.setattr(given_files, "MAX_FILES", 3)
    with pytest.raises(InputError, match="over 3 such files"):
        read(tmp_path)
    monkeypatch.setattr(given_files, "MAX_ENTRIES", 3)
    with pytest.raises(InputError, match="over 3 entries"):
        read(tmp_path)
