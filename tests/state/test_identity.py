"""Records of processes."""

import os
from dataclasses import replace

import pytest

from lkhub.host.processes import ProcessId, identify
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, HeldSocket
from lkhub.state.identity import Identity, read_record, remove_record, write_record
from tests.supervise.conftest import PRINT, plan_actor

OLD, NEW = ProcessId(4711, "boot/1"), ProcessId(4711, "boot/2")


def record(paths: StatePaths, process: ProcessId) -> Identity:
    identity = Identity(
        process, paths.root, plan_actor(paths, "media"), Fingerprint("program", "files"), 1.5, ("cert:1",)
    )
    write_record(paths, identity)
    return identity


def test_record_comes_back_as_it_was_written(paths: StatePaths) -> None:
    assert read_record(paths, "media") is None
    written = record(paths, NEW)
    assert read_record(paths, "media") == written
    assert os.stat(paths.record("media")).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("ended", "stays"), [(OLD, True), (NEW, False)])
def test_process_that_ends_takes_its_own_record_with_it_and_no_other(
    paths: StatePaths, ended: ProcessId, stays: bool
) -> None:
    """Its pid may be another process's by now."""
    written = record(paths, NEW)
    remove_record(paths, "media", ended)
    assert read_record(paths, "media") == (written if stays else None)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"process": {"pid": "x"}}', "null"])
def test_record_that_is_not_ours_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Identity.parse(text)


def test_identity_is_read_as_it_was_written(paths: StatePaths) -> None:
    me = identify(os.getpid())
    assert me is not None
    plan = replace(plan_actor(paths, "media"), listens=(HeldSocket("127.0.0.1", 7880), HeldSocket("::1", 7880)))
    identity = Identity(me, paths.root, plan, PRINT, 12.5)
    assert Identity.parse(identity.dump()) == identity
