"""What the engine is asked for a router's mappings, and what is made of its answers.

What it asks of routers is tested in engine/internal/portmap; a real one is in tests/namespaces/test_router.py.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from lkhub.errors import MachineError
from lkhub.host import router
from lkhub.host.router import (
    LEASE_SECONDS,
    OtherRouterError,
    RefusedError,
    find_local,
    map_ports,
    renew,
    unmap_ports,
)
from lkhub.plan.model import Protocol
from lkhub.state.router import Mapping, RouterRecord
from tests.host.test_engine import write_program
from tests.waiting import until
from tests.wire.test_portmap import GOLDEN, MEDIA, NONCE, UPLINK, WEB

pytestmark = pytest.mark.anyio

NOW = 1_000_000.0
WANTED: list[tuple[Protocol, int, str]] = [("udp", 7882, "lkhub media.udp"), ("tcp", 443, "lkhub tls.listen")]
RECORD = RouterRecord(
    *UPLINK,
    "pcp",
    NONCE,
    (Mapping("udp", 7882, MEDIA[2], NOW, NOW + LEASE_SECONDS), Mapping("tcp", 443, WEB[2], NOW, None, own=False)),
    "1.2.3.4",
)

Engine = Callable[..., Path]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that gives an answer of the golden file, with changes. Where it writes what it was asked."""

    def make(name: str, exit_code: int = 0, **changes: Any) -> Path:
        (tmp_path / "answer").write_text(json.dumps(GOLDEN["answers"][name] | changes))
        script = f'test "$*" = "portmap -" && cat > {tmp_path}/asked && cat {tmp_path}/answer; exit {exit_code}'
        program = write_program(tmp_path / "engine", script)
        monkeypatch.setattr(router, "bundled_engine", lambda: program)
        return tmp_path / "asked"

    return make


def kept(*protocols: str) -> dict[str, Any]:
    """What the engine says where the router keeps one of the ports."""
    rows = [dict(row) for row in GOLDEN["answers"]["granted"]["mappings"][:2]]
    for row in rows:
        row["reason"] = "refused" if row["protocol"] in protocols else "given-back"
    return {"mappings": rows, "error": {"code": "kept", "message": "the router at 192.168.1.1 keeps them"}}


async def test_what_is_granted_is_the_record(engine: Engine) -> None:
    asked = engine("granted")
    assert await map_ports(WANTED, clock=lambda: NOW) == RECORD
    assert json.loads(asked.read_text()) == GOLDEN["requests"]["map"]


async def test_what_was_granted_before_goes_along(engine: Engine) -> None:
    asked = engine("granted")
    await map_ports(WANTED, RECORD)
    assert json.loads(asked.read_text())["record"] == GOLDEN["requests"]["renew"]["record"]


async def test_renewing_is_the_same_for_another_lease(engine: Engine) -> None:
    asked = engine("granted")
    again = await renew(RECORD, clock=lambda: NOW + 60)
    assert json.loads(asked.read_text()) == GOLDEN["requests"]["renew"]
    assert again.renew_at == NOW + 60 + LEASE_SECONDS / 2


async def test_lease_begins_before_the_router_is_asked(engine: Engine, tmp_path: Path) -> None:
    """Not after the answer, when the router has counted for a while."""
    asked = engine("granted")
    record = await renew(RECORD, clock=lambda: NOW + asked.exists())
    assert record.since == NOW


async def test_shorter_lease_is_renewed_sooner_and_a_permanent_one_never(engine: Engine) -> None:
    row = GOLDEN["answers"]["granted"]["mappings"][0]
    engine("granted", mappings=[row | {"seconds": 600}])
    assert (await map_ports(WANTED, clock=lambda: NOW)).renew_at == NOW + 300
    engine("granted", mappings=[row | {"seconds": None}])
    assert (await map_ports(WANTED, clock=lambda: NOW)).renew_at is None


async def test_refusal_is_reported(engine: Engine) -> None:
    for code in ("refused", "other-port"):
        engine("refused", 1, error={"code": code, "message": "the router at 192.168.1.1 refused 443/tcp: so"})
        with pytest.raises(RefusedError, match="refused 443/tcp: so") as failed:
            await map_ports(WANTED)
        assert failed.value.hints == ("nothing of it was left mapped",)


async def test_silence_is_reported_with_a_remedy(engine: Engine) -> None:
    engine("no-answer", 1)
    with pytest.raises(MachineError, match=r"does not take requests .*upnp: it does not answer a search") as failed:
        await map_ports(WANTED)
    assert any("UPnP" in hint for hint in failed.value.hints)
    assert not isinstance(failed.value, RefusedError | OtherRouterError)


async def test_another_router_or_none_is_distinguished(engine: Engine) -> None:
    for code in ("other-router", "no-router"):
        engine("no-answer", 3, error={"code": code, "message": "this machine has no router"})
        with pytest.raises(OtherRouterError, match="this machine has no router"):
            await renew(RECORD)


async def test_what_is_given_back_is_that_of_the_record(engine: Engine) -> None:
    asked = engine("granted", mappings=[])
    await unmap_ports(replace(RECORD, means="upnp", nonce="", mappings=RECORD.mappings[:1]))
    assert json.loads(asked.read_text()) == GOLDEN["requests"]["unmap"]


async def test_where_nothing_is_ours_no_router_is_asked(engine: Engine) -> None:
    asked = engine("granted")
    for mappings in ((), RECORD.mappings[1:]):
        await unmap_ports(replace(RECORD, mappings=mappings))
    assert not asked.exists()


@pytest.mark.parametrize(
    ("protocols", "hint"),
    [(("udp",), "they end by themselves"), (("udp", "tcp"), "remove them on the router's own pages")],
)
async def test_mappings_that_a_router_keeps_are_reported_with_their_time(
    protocols: tuple[str, ...], hint: str, engine: Engine
) -> None:
    engine("granted", 1, **kept(*protocols))
    with pytest.raises(MachineError, match="keeps them") as failed:
        await unmap_ports(RECORD)
    assert failed.value.hints == (hint,)


@pytest.mark.parametrize("script", ["exit 70", "echo nonsense", "kill -9 $$", "echo '{}'", "exec 1>&-; exit 2"])
async def test_engine_that_says_nothing_of_use_is_told(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = write_program(tmp_path / "engine", script)
    monkeypatch.setattr(router, "bundled_engine", lambda: program)
    with pytest.raises(MachineError, match="did not answer"):
        await map_ports(WANTED)


async def test_engine_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = write_program(tmp_path / "engine", "exec sleep 600")
    monkeypatch.setattr(router, "bundled_engine", lambda: program)
    monkeypatch.setattr(router, "ENGINE_SECONDS", 0.2)
    with pytest.raises(MachineError, match=r"did not answer within 0\.2 s"):
        await map_ports(WANTED)


async def test_engine_ends_with_the_hub_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    program = write_program(tmp_path / "engine", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 600")
    monkeypatch.setattr(router, "bundled_engine", lambda: program)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(renew, RECORD)
        await until(pid.exists, "the engine")
        tasks.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_request_that_the_engine_refuses_is_reported(engine: Engine, tmp_path: Path) -> None:
    engine("granted", 2)
    (tmp_path / "answer").write_text(
        '{"error": {"code": "usage", "message": "version is 1, and this program speaks 2"}}'
    )
    with pytest.raises(MachineError, match="this program speaks 2"):
        await map_ports(WANTED)


def test_address_towards_the_gateway_is_the_kernels_choice() -> None:
    assert find_local("127.0.0.1") == "127.0.0.1"
    assert find_local("255.255.255.255") is None, "no route there"
