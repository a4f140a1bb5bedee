import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lkhub.host import lookup
from lkhub.host.lookup import look_up
from lkhub.host.resolver import ask_resolver
from lkhub.plan.network import LookedUp
from lkhub.spec.load import load_spec
from lkhub.spec.model import Spec
from tests.machines import INSTALLATION

PUBLIC_HUB = "reach: public\ndomain: rtc.example.com\n"
STUN = PUBLIC_HUB + "media: {advertise: {stun: stun.example.com:3478}}\n"


def spec(text: str) -> Spec:
    return load_spec(text.encode()).require_sound()


def ask(text: str, *, ask_domain: bool, engine: str = "/nowhere/engine") -> LookedUp:
    """What is looked up for the spec, with this program in the engine's place."""
    return look_up(spec(text), replace(INSTALLATION, engine=engine), ask_domain=ask_domain)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What name servers would say; `asked` are the names that were asked for."""
    known: dict[str, list[str]] = {"asked": []}

    def getaddrinfo(name: str, port: Any, **_: Any) -> list[Any]:
        known["asked"].append(name)
        if name not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], str]:
    """`engine("echo …")`: the path of a program to put in the engine's place. `argv` beside it has its arguments."""

    def make(script: str) -> str:
        path = tmp_path / "engine"
        path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/argv\n{script}\n')
        path.chmod(0o755)
        return str(path)

    return make


def test_addresses_of_a_name_are_each_there_once(names: dict[str, list[str]]) -> None:
    names["rtc.example.com"] = ["1.2.3.4", "2600::4", "1.2.3.4", "fe80::1%eth0"]
    found = ask_resolver("rtc.example.com", 1.0)
    assert found is not None
    assert [str(address) for address in found] == ["1.2.3.4", "2600::4", "fe80::1"]


def test_name_that_is_not_there_has_none(names: dict[str, list[str]]) -> None:
    assert ask_resolver("rtc.example.com", 1.0) == ()


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), True),
        # No name server answered, or there is no network: that says nothing of the name.
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), False),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"), False),
        (OSError(5, "Input/output error"), False),
    ],
)
def test_name_without_an_address_is_not_one_that_could_not_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, error: OSError, known: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert ask_resolver("rtc.example.com", 1.0) == (() if known else None)


def test_this_machines_resolver_is_what_is_asked() -> None:
    assert ip_address("127.0.0.1") in (ask_resolver("localhost", 1.0) or ())


def test_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, done = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        asked.set()
        done.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    assert ask_resolver("rtc.example.com", 0.05) is None
    assert asked.is_set()
    [thread] = [thread for thread in threading.enumerate() if "ask" in thread.name]
    assert thread.daemon, "it would hold the command up at its end"
    done.set()


@pytest.mark.parametrize("text", ["", "reach: lan", PUBLIC_HUB, "reach: lan\ndomain: hub.example.com"])
def test_no_server_is_asked_unless_the_plan_needs_it(
    text: str, names: dict[str, list[str]], engine: Callable[[str], str]
) -> None:
    program = engine("exit 1")
    assert ask(text, ask_domain=False, engine=program) == LookedUp()
    assert names["asked"] == []
    assert not Path(program).with_name("argv").exists()


def test_domain_is_looked_up_where_it_decides(names: dict[str, list[str]]) -> None:
    names["rtc.example.com"] = ["1.2.3.4"]
    assert ask(PUBLIC_HUB, ask_domain=True) == LookedUp(domain=(ip_address("1.2.3.4"),))
    assert ask("reach: public", ask_domain=True) == LookedUp()


def test_name_server_that_does_not_answer_says_nothing_of_the_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "ask_resolver", lambda *_: None)
    assert ask(PUBLIC_HUB, ask_domain=True) == LookedUp()


def test_only_the_named_stun_server_is_asked(names: dict[str, list[str]], engine: Callable[[str], str]) -> None:
    program = engine("""echo '{"address": "1.2.3.4"}'""")
    assert ask(STUN, ask_domain=True, engine=program) == LookedUp(stun=ip_address("1.2.3.4"))
    assert Path(program).with_name("argv").read_text() == "stun --server stun.example.com:3478\n"
    assert names["asked"] == []


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (
            """echo '{"error": {"code": "timeout", "message": "no answer within 3 s"}}'; exit 1""",
            "no answer within 3 s",
        ),
        ("echo nonsense", "the engine did not ask it: JSONDecodeError"),
        ("exit 70", "the engine did not ask it: JSONDecodeError"),
        ("exec sleep 5", "the engine did not ask it: TimeoutExpired"),
    ],
)
def test_stun_server_that_does_not_answer_is_reported(
    script: str, problem: str, engine: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "STUN_SECONDS", 0.2)
    assert ask(STUN, ask_domain=False, engine=engine(script)) == LookedUp(stun_failure=problem)


def test_engine_that_is_missing_is_one_too() -> None:
    assert ask(STUN, ask_domain=False) == LookedUp(stun_failure="the engine did not ask it: FileNotFoundError")
