"""The unit that `lkhub install` writes: an edit of it is seen, and kept."""

from pathlib import Path

import pytest

from lkhub.checks.drift import EditedFile
from lkhub.hub.install import remove_programs
from lkhub.hub.unit import find_edited, is_edited_text, remove_unit, write_unit
from lkhub.plan.service import Service, user_service
from tests.hub.conftest import Told

FIRST, SECOND = (f"[Service]\nTimeoutStopSec={number}\n" for number in (1, 2))


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = user_service(str(tmp_path), str(tmp_path / "state"), "ann")
    Path(made.unit_file).parent.mkdir(parents=True)
    return made


def test_unit_that_is_as_it_was_written_is_replaced_without_a_word(service: Service) -> None:
    told = Told()
    for unit in (FIRST, SECOND, SECOND):
        write_unit(service.unit_file, unit, 0o644, service.units, told)
        assert find_edited(service.unit_file, service.units) == (None, None)
        assert Path(service.unit_file).read_text().startswith(unit)
        assert Path(service.unit_file).stat().st_mode & 0o777 == 0o644
    assert told.lines == []


@pytest.mark.parametrize("at_end", [True, False])
def test_edited_unit_is_seen_and_kept(service: Service, at_end: bool) -> None:
    told = Told()
    write_unit(service.unit_file, FIRST, 0o644, service.units, told)
    copy = f"{service.units}/lkhub.service"
    text = Path(service.unit_file).read_text()
    edited = text + "Nice=5\n" if at_end else text.replace("=1", "=9")
    Path(service.unit_file).write_text(edited)
    assert find_edited(service.unit_file, service.units) == (EditedFile(copy, service.unit_file, edited, text), None)
    write_unit(service.unit_file, FIRST, 0o644, service.units, told)
    kept = f"{service.unit_file}.edited"
    assert find_edited(service.unit_file, service.units) == (None, EditedFile(service.unit_file, kept, edited, text))
    assert Path(kept).read_text() == edited
    assert Path(service.unit_file).read_text() == text
    assert kept in told.lines[0]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_edit_is_kept_with_the_rights_that_it_had(service: Service, mode: int) -> None:
    """It may have a secret that was written into it."""
    write_unit(service.unit_file, FIRST, 0o644, service.units, Told())
    unit = Path(service.unit_file)
    unit.write_text(unit.read_text() + "Environment=PASSWORD=x\n")
    unit.chmod(mode)
    write_unit(service.unit_file, FIRST, 0o644, service.units, Told())
    assert Path(f"{unit}.edited").stat().st_mode & 0o777 == mode
    assert unit.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("has_another", [True, False])
def test_edit_is_seen_without_a_copy_of_what_was_written(service: Service, has_another: bool) -> None:
    """As of a unit that an earlier version has written."""
    for unit in (SECOND, FIRST):
        write_unit(service.unit_file, unit, 0o644, service.units, Told())
        copy = Path(service.units, "lkhub.service")
        if unit == SECOND:
            another = copy.read_text()
    if has_another:
        copy.write_text(another)
    else:
        copy.unlink()
    Path(service.unit_file).write_text(text := Path(service.unit_file).read_text() + "Nice=5\n")
    edited = EditedFile(f"{service.units}/lkhub.service", service.unit_file, text, None)
    assert find_edited(service.unit_file, service.units) == (edited, None)


def test_nothing_is_left_of_a_unit_that_is_removed(service: Service) -> None:
    write_unit(service.unit_file, FIRST, 0o644, service.units, Told())
    remove_unit(service.unit_file, service.units)
    assert not Path(service.unit_file).exists()
    remove_programs(service)
    assert not Path(service.programs).exists()


def test_unit_of_an_earlier_version_has_no_mark_and_is_no_edit() -> None:
    assert not is_edited_text(FIRST)
