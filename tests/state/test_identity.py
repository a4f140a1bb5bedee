"""Records of processes."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lkhub.host.processes import ProcessId, identify
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, HeldSocket, ProcessPlan, Variable
from lkhub.state.identity import Identity, Mark, list_records, read_record, remove_record, write_record
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


@pytest.mark.parametrize("since", [-1.0, 1e308, "x", None])
def test_process_whose_time_no_clock_shows_is_known_all_the_same(paths: StatePaths, since: object) -> None:
    identity = record(paths, NEW)
    text = json.dumps({**json.loads(identity.dump()), "since": since})
    assert Identity.parse(text) == replace(identity, since=0.0)


def written(paths: StatePaths) -> dict[str, Any]:
    plan = replace(
        plan_actor(paths, "media"),
        listens=(HeldSocket("127.0.0.1", 7880),),
        variables=(Variable("TOKEN", env="OPERATORS_TOKEN"), Variable("KEY", file="/key")),
    )
    record: dict[str, Any] = json.loads(Identity(NEW, paths.root, plan, PRINT, 1.5, ("cert:1",)).dump())
    return record


def test_record_has_a_version_and_says_where_secrets_are_and_not_what(paths: StatePaths) -> None:
    record = written(paths)
    assert record["version"] == 1
    assert record["plan"]["variables"] == [
        {"name": "TOKEN", "file": "", "env": "OPERATORS_TOKEN", "value": ""},
        {"name": "KEY", "file": "/key", "env": "", "value": ""},
    ]


def test_record_of_a_newer_version_is_understood(paths: StatePaths) -> None:
    """It has keys that this version does not know, at every depth."""
    record = written(paths)
    whole = Identity.parse(json.dumps(record))
    record["version"] = 17
    record["process"]["cgroup"] = "/hub"
    record["fingerprint"]["signature"] = "x"
    record["plan"]["health"]["grpc"] = "localhost:1"
    record["plan"]["variables"][0]["mode"] = "x"
    record["plan"]["sandbox"] = {"seccomp": True}
    record["cluster"] = ["a", "b"]
    assert Identity.parse(json.dumps(record)) == whole


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("restart", "at-noon"),
        ("engine", "recorder"),
        ("drain", "as long as it takes"),
        ("variables", [{"name": "KEY", "vault": "x"}]),
    ],
)
def test_value_that_this_version_does_not_know_is_as_if_it_were_missing(
    paths: StatePaths, key: str, value: object
) -> None:
    record = written(paths)
    record["plan"][key] = value
    identity = Identity.parse(json.dumps(record))
    assert identity.process == NEW
    assert identity.unknown == (key,)


def test_record_of_an_older_version_keeps_the_call_running(paths: StatePaths) -> None:
    """One that tells only which process it is, and how that was started."""
    record = written(paths)
    older = {"process": record["process"], "root": record["root"]}
    older["plan"] = {key: record["plan"][key] for key in ("name", "argv")}
    identity = Identity.parse(json.dumps(older))
    assert (identity.process, identity.plan.argv) == (NEW, tuple(record["plan"]["argv"]))
    assert identity.plan.carries_calls, "a change of it waits"
    assert identity.plan.drain == 30, "a stop waits for its calls"
    assert identity.fingerprint not in (PRINT, Fingerprint("program", "files")), "it is a change like any other"


def test_what_an_older_record_does_not_tell_is_taken_from_what_is_planned(paths: StatePaths) -> None:
    record, planned = written(paths), plan_actor(paths, "media")
    del record["plan"]["knows_participants"], record["plan"]["stop_order"]
    record["plan"]["drain"] = 600
    filled = Identity.parse(json.dumps(record)).fill([plan_actor(paths, "serve"), planned])
    assert filled.plan.knows_participants
    assert (filled.plan.stop_order, filled.plan.drain) == (0, 600), "what it tells stays"
    assert Identity.parse(json.dumps(record)).fill([]).plan.carries_calls


@pytest.mark.parametrize("key", ["process", "root", "plan"])
def test_record_that_does_not_say_which_process_it_is_of_is_a_value_error(paths: StatePaths, key: str) -> None:
    record = written(paths)
    del record[key]
    with pytest.raises(ValueError):
        Identity.parse(json.dumps(record))


def test_every_key_of_a_plan_may_be_missing_but_two(paths: StatePaths) -> None:
    for key in written(paths)["plan"]:
        record = written(paths)
        del record["plan"][key]
        if key in ("name", "argv"):
            with pytest.raises(ValueError, match=f"no {key}"):
                Identity.parse(json.dumps(record))
        else:
            assert Identity.parse(json.dumps(record)).unknown == (key,)


def test_mark_says_what_the_record_says_of_a_start(paths: StatePaths) -> None:
    plan = plan_actor(paths, "media")
    mark = Mark(paths.root, plan, PRINT)
    assert Mark.parse(mark.dump()) == mark
    assert json.loads(mark.dump())["version"] == 1


def test_records_of_all_names_are_listed_and_what_is_none_is_passed_over(paths: StatePaths) -> None:
    first = record(paths, NEW)
    plan = ProcessPlan("jwt-service", ("/bin/true",))
    second = Identity(OLD, paths.root, plan, PRINT, 1.0)
    write_record(paths, second)
    Path(paths.run, "broken.json").write_text("{")
    Path(paths.run, "moved.json").write_text(first.dump())
    assert list_records(paths) == (second, first)
