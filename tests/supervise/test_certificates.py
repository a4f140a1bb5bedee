"""The operator's certificate, replaced while the hub runs."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.plan.model import EdgePlan, TlsPlan
from lkhub.plan.paths import StatePaths
from lkhub.prepare import PreparedHub
from lkhub.supervise import certificates
from lkhub.supervise.certificates import watch_certificate
from tests.supervise.conftest import MakeHub, supervising
from tests.waiting import until

pytestmark = pytest.mark.anyio

MakeFiles = Callable[..., PreparedHub]


@pytest.fixture
def make(make_hub: MakeHub, short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> MakeFiles:
    """A hub of mode files, whose certificate and key are there."""
    cert, key = short_dir / "cert.pem", short_dir / "key.pem"
    cert.write_text("old certificate")
    key.write_text("old key")
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.01)
    edge = EdgePlan(("rtc.example.com",), (), 443, 80, TlsPlan("files", cert=str(cert), key=str(key)), None)

    def make_files(**configs: object) -> PreparedHub:
        hub = make_hub(**{"edge": {"say": "hello"}, **configs})
        return replace(hub, plan=replace(hub.plan, edge=edge))

    return make_files


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the watch has seen so far, look by look."""
    seen: list[tuple[str, ...]] = []
    stamp = certificates._stamp

    def look(tls: TlsPlan) -> tuple[str, ...]:
        seen.append(stamp(tls))
        return seen[-1]

    monkeypatch.setattr(certificates, "_stamp", look)
    return seen


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
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        before = supervisor.children["edge"].process
        supervisor.tasks.start_soon(watch_certificate, supervisor)
        await until(lambda: looks, "the first look")
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
        supervisor.tasks.start_soon(watch_certificate, supervisor)
        await until(lambda: len(looks) > 5, "five looks")
        assert count_reloads(paths) == 0


async def test_certificate_that_is_refused_leaves_the_old_one_and_that_is_said(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path, looks: list[tuple[str, ...]]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        Path(paths.render("caddy.json")).write_text('{"refuse": "key does not match"}')
        supervisor.tasks.start_soon(watch_certificate, supervisor)
        await until(lambda: looks, "the first look")
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

    def look(_: TlsPlan) -> tuple[str, ...]:
        looks.append(stamps[min(len(looks), len(stamps) - 1)])
        return (looks[-1],)

    monkeypatch.setattr(certificates, "_stamp", look)
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        supervisor.tasks.start_soon(watch_certificate, supervisor)
        await until(lambda: len(looks) > 12, "twelve looks")
        assert count_reloads(paths) == 1


async def test_missing_file_is_no_bug(
    paths: StatePaths, said: list[str], make: MakeFiles, short_dir: Path, looks: list[tuple[str, ...]]
) -> None:
    async with supervising(paths, said) as supervisor:
        await supervisor.apply(make())
        supervisor.tasks.start_soon(watch_certificate, supervisor)
        await until(lambda: looks, "the first look")
        (short_dir / "cert.pem").unlink()
        await until(lambda: count_reloads(paths) == 1, "a look at what is there")
        assert supervisor.children["edge"].state == "running"


async def test_mode_without_files_has_nothing_to_look_at() -> None:
    assert certificates._stamp(TlsPlan("acme")) == ()
    nowhere = TlsPlan("files", cert="/nowhere/cert", key="/nowhere/key")
    assert certificates._stamp(nowhere) == ("/nowhere/cert", "/nowhere/key")
