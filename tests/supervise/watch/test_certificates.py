"""The operator's certificate, replaced while the hub runs."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.host import files
from lkhub.plan.build import build_plan
from lkhub.plan.model import EdgePlan, TlsPlan
from lkhub.plan.paths import StatePaths
from lkhub.prepare.hub import PreparedHub
from lkhub.spec.load import load_spec
from lkhub.supervise.adopt import adopt
from lkhub.supervise.supervisor import Supervisor
from tests.machines import make_facts, make_installation
from tests.supervise.conftest import QUICK, MakeHub, status_of, supervising, watch, watchers_of
from tests.waiting import until

pytestmark = pytest.mark.anyio

MakeFiles = Callable[..., PreparedHub]


@pytest.fixture
def make(make_hub: MakeHub, short_dir: Path) -> MakeFiles:
    """A hub of mode files, with a certificate and a key."""
    cert, key = short_dir / "cert.pem", short_dir / "key.pem"
    cert.write_text("old certificate")
    key.write_text("old key")
    edge = EdgePlan(("rtc.example.com",), (), 443, 80, TlsPlan("files", cert=str(cert), key=str(key)), None)

    def make_files(**configs: object) -> PreparedHub:
        hub = make_hub(**{"edge": {"say": "hello"}, **configs})
        watched = (str(cert), str(key))
        actors = tuple(replace(each, watched=watched if each.reloads else ()) for each in hub.plan.processes)
        return replace(hub, plan=replace(hub.plan, edge=edge, processes=actors))

    return make_files


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the watch has seen so far, look by look."""
    seen: list[tuple[str, ...]] = []
    stamp = files.stamp

    def look(watched: tuple[str, ...]) -> tuple[str, ...]:
        seen.append(stamp(watched))
        return seen[-1]

    monkeypatch.setattr(files, "stamp", look)
    return seen


@asynccontextmanager
async def watched(
    paths: StatePaths, said: list[str], hub: PreparedHub, looks: list[tuple[str, ...]]
) -> AsyncIterator[Supervisor]:
    """A supervisor whose watcher has seen the files once."""
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(hub)
        watch(supervisor, watchers_of(supervisor).certificates.look)
        await until(lambda: looks, "the first look")
        yield supervisor


def replace_file(path: Path, text: str) -> None:
    """As certbot does it: another file takes the place."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def count_reloads(paths: StatePaths) -> int:
    return Path(paths.log("edge")).read_text().count("reloaded")


async def test_replaced_files_are_taken_over_without_a_restart(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path, looks: list[tuple[str, ...]]
) -> None:
    async with watched(paths, said, make(), looks) as supervisor:
        before = supervisor.children["edge"].process
        replace_file(short_dir / "cert.pem", "new")
        replace_file(short_dir / "key.pem", "new")
        await until(lambda: count_reloads(paths) >= 1, "the reload")
        replace_file(short_dir / "cert.pem", "newest")
        await until(lambda: count_reloads(paths) >= 2, "another")
        assert supervisor.children["edge"].process == before
        assert supervisor.children["edge"].restarts == 0
        await until(lambda: said[-1:] == ["the new certificate is in use"], "word of it")


async def test_files_that_rest_are_left_alone(
    paths: StatePaths, said: list[str], make: MakeFiles, looks: list[tuple[str, ...]]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        watch(supervisor, watchers_of(supervisor).certificates.look)
        await until(lambda: len(looks) > 5, "five looks")
        assert count_reloads(paths) == 0


async def test_certificate_that_is_refused_leaves_the_old_one_and_that_is_said(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path, looks: list[tuple[str, ...]]
) -> None:
    async with watched(paths, said, make(), looks) as supervisor:
        Path(paths.render("caddy.json")).write_text('{"refuse": "key does not match"}')
        replace_file(short_dir / "key.pem", "wrong key")
        await until(lambda: said, "the refusal")
        assert said == [
            "the certificate's files have changed, and the old one stays in use: "
            "edge refuses its new configuration: key does not match"
        ]
        assert supervisor.children["edge"].state == "running"


async def test_file_that_is_being_written_is_waited_for(
    paths: StatePaths, said: list[str], make: MakeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks must be alike, so that a certificate is not taken without its key."""
    stamps = ["a", "a", "b", "c", "d", "e"]
    looks: list[str] = []

    def look(_: tuple[str, ...]) -> tuple[str, ...]:
        looks.append(stamps[min(len(looks), len(stamps) - 1)])
        return (looks[-1],)

    monkeypatch.setattr(files, "stamp", look)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        watch(supervisor, watchers_of(supervisor).certificates.look)
        await until(lambda: len(looks) > 12, "twelve looks")
        assert count_reloads(paths) == 1


async def test_missing_file_is_no_bug(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path, looks: list[tuple[str, ...]]
) -> None:
    async with watched(paths, said, make(), looks) as supervisor:
        (short_dir / "cert.pem").unlink()
        await until(lambda: count_reloads(paths) == 1, "a look at what is there")
        assert supervisor.children["edge"].state == "running"


async def test_file_that_was_replaced_without_a_supervisor_is_loaded_by_the_next_one(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make())
        before = first.children["edge"].process
    replace_file(short_dir / "cert.pem", "new")
    async with supervising(paths, said) as second:
        await adopt(second)
        await second.apply(make())
        watch(second, watchers_of(second).certificates.look)
        await until(lambda: count_reloads(paths) == 1, "the reload")
        assert second.children["edge"].process == before
        await until(lambda: "the new certificate is in use" in said, "word of it")


async def test_what_was_taken_before_is_not_taken_again_by_the_next_supervisor(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path, looks: list[tuple[str, ...]]
) -> None:
    async with supervising(paths, said, leave=True) as first:
        await first.apply(make())
        replace_file(short_dir / "cert.pem", "new")
        await first.take_files("edge")
    async with supervising(paths, said) as second:
        await adopt(second)
        await second.apply(make())
        seen = len(looks)
        watch(second, watchers_of(second).certificates.look)
        await until(lambda: len(looks) > seen + 5, "five looks")
        assert count_reloads(paths) == 1


async def test_what_was_refused_is_known_until_it_is_taken(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        Path(paths.render("caddy.json")).write_text('{"refuse": "key does not match"}')
        watch(supervisor, watchers_of(supervisor).certificates.look)
        replace_file(short_dir / "cert.pem", "new")
        await until(lambda: status_of(supervisor)["refused"], "the refusal")
        assert status_of(supervisor)["refused"] == {"edge": "edge refuses its new configuration: key does not match"}
        Path(paths.render("caddy.json")).write_text("{}")
        replace_file(short_dir / "key.pem", "new")
        await until(lambda: not status_of(supervisor)["refused"], "the end of it")
        assert count_reloads(paths) == 1


async def test_what_was_refused_is_tried_again_without_a_change(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on the way to it was closed."""
    async with supervising(paths, said, replace(QUICK, certificates_again=0.02)) as supervisor:
        await supervisor.apply(make())
        Path(paths.render("caddy.json")).write_text('{"refuse": "permission denied"}')
        watch(supervisor, watchers_of(supervisor).certificates.look)
        replace_file(short_dir / "cert.pem", "new")
        await until(lambda: status_of(supervisor)["refused"], "the refusal")
        Path(paths.render("caddy.json")).write_text("{}")
        await until(lambda: count_reloads(paths) == 1, "the reload")
        assert sum("permission denied" in line for line in said) == 1, "once, not at each try"


async def test_other_path_of_the_certificate_is_taken_over_by_a_reload(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        wanted = make(edge={"say": "another path"})
        other = short_dir / "other.pem"
        other.write_text("another")
        [edge] = wanted.plan.processes
        moved = replace(wanted, plan=replace(wanted.plan, processes=(replace(edge, watched=(str(other),)),)))
        assert (await supervisor.apply(moved)).reloaded == ("edge",)
        watch(supervisor, watchers_of(supervisor).certificates.look)
        replace_file(other, "new")
        await until(lambda: count_reloads(paths) == 2, "the look at the new path")


def test_edge_watches_the_files_of_the_operator(short_dir: Path) -> None:
    def watched(spec: bytes) -> tuple[str, ...]:
        plan = build_plan(load_spec(spec), make_facts(), make_installation(str(short_dir)))
        assert plan is not None
        return next(process.watched for process in plan.processes if process.name == "edge")

    given = b"reach: lan\ndomain: rtc.example.com\ntls: {mode: files, cert: /c.pem, key: /k.pem}\n"
    assert watched(given) == ("/c.pem", "/k.pem")
    assert watched(b"reach: lan\ntls: {mode: internal}\n") == ()


def test_missing_files_have_a_stamp() -> None:
    assert files.stamp(()) == ()
    assert files.stamp(("/nowhere/cert", "/nowhere/key")) == ("/nowhere/cert", "/nowhere/key")
