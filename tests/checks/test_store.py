from typing import get_args

import pytest

from lkhub.checks.store import check_store
from lkhub.state.store import StoreRecord
from lkhub.store.errors import Problem, StoreError
from lkhub.store.owner import refuse

FILE = "/var/lib/lk hub/store.db"


def test_store_that_can_be_used_is_no_finding() -> None:
    assert list(check_store(StoreRecord(FILE))) == []


@pytest.mark.parametrize("problem", sorted({*get_args(Problem)} - {"foreign"}))
def test_store_that_fails_is_named_with_its_reason(problem: Problem) -> None:
    error = StoreError(problem, FILE)
    [found] = check_store(StoreRecord(FILE, 1_795_903_392.0, problem, str(error)))
    assert (found.code, found.subject, found.severity) == ("store-fails", "store", "error")
    assert found.title == error.reason
    assert found.detail == f"since 2026-11-28 22:03:12 UTC: {FILE}"
    assert all(fix.text for fix in found.fix)


def test_store_of_another_hub_is_its_own_finding() -> None:
    [found] = check_store(StoreRecord("", 1_795_903_392.0, "foreign", str(refuse("app-2"))))
    assert (found.code, found.subject, found.severity) == ("store-of-another-hub", "store", "error")
    assert found.detail == "since 2026-11-28 22:03:12 UTC: it is that of the hub on app-2"


def test_command_can_be_pasted_and_is_for_files_alone() -> None:
    [found] = check_store(StoreRecord(FILE, 1.0, "full", f"the store has no space left: {FILE}"))
    assert found.fix[0].command == f"df -h '{FILE}'"
    [found] = check_store(StoreRecord("", 1.0, "full", "the store has no space left: lkhub (code 53100)"))
    assert found.fix[0].command is None


def test_command_for_a_database_in_utf8_works_whatever_the_locale_of_the_server() -> None:
    """PostgreSQL refuses UTF8 where its locale has another encoding; C takes every one."""
    [found] = check_store(StoreRecord("", 1.0, "encoding", "the store can't keep every name: it is in LATIN1"))
    assert found.fix[0].command == "createdb -E UTF8 --locale=C -T template0 NAME"


def test_store_on_a_read_only_file_system_fails_although_its_record_does_not_say_it() -> None:
    [found] = check_store(StoreRecord(FILE), read_only=True)
    assert (found.code, found.subject, found.severity) == ("store-fails", "store", "error")
    assert found.title == "the store refuses to be used"
    assert FILE in found.detail
    assert found.fix[0].command == f"findmnt -T '{FILE}'"  # it shows emergency_ro, which `-O ro` leaves out
