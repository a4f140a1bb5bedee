"""The unit that `lkhub install` writes: an edit of it is seen, and kept."""

from pathlib import Path

import pytest

from lkhub.hub.unit import find_edited, is_edited_text, write_unit
from lkhub.plan.service import Service, user_service

FIRST, SECOND = (f"[Service]\nTimeoutStopSec={number}\n" for number in (1, 2))


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, text: str, more: str = "") -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    Path(made.unit_file).parent.mkdir(parents=True)
    return made


def test_unit_that_is_as_it_was_written_is_replaced_without_a_word(service: Service) -> None:
    told = Told()
    for unit in (FIRST, SECOND, SECOND):
        write_unit(service.unit_file, unit, 0o644, told)
        assert find_edited(service.unit_file) == (False, "")
        assert Path(service.unit_file).read_text().startswith(unit)
        assert Path(service.unit_file).stat().st_mode & 0o777 == 0o644
    assert told.lines == []


@pytest.mark.parametrize("at_end", [True, False])
def test_edited_unit_is_seen_and_kept(service: Service, at_end: bool) -> None:
    told = Told()
    write_unit(service.unit_file, FIRST, 0o644, told)
    text = Path(service.unit_file).read_text()
    edited = text + "Nice=5\n" if at_end else text.replace("=1", "=9")
    Path(service.unit_file).write_text(edited)
    assert find_edited(service.unit_file) == (True, "")
    write_unit(service.unit_file, FIRST, 0o644, told)
    kept = f"{service.unit_file}.edited"
    assert find_edited(service.unit_file) == (False, kept)
    assert Path(kept).read_text() == edited
    assert Path(service.unit_file).read_text() == text
    assert kept in told.lines[0]


def test_unit_of_an_earlier_version_has_no_mark_and_is_no_edit() -> None:
    assert not is_edited_text(FIRST)
