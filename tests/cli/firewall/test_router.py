"""`lkhub firewall --router`: port mappings of the home router."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.cli.shared import firewall_router
from lkhub.errors import MachineError
from lkhub.plan.paths import StatePaths
from lkhub.state.document import dump_record
from lkhub.state.router import Mapping, RouterRecord, read_router, write_router
from tests.cli.conftest import Run, list_owners
from tests.cli.firewall.conftest import LAN, PUBLIC, Machine, Spec, record


def test_mappings_are_asked_for_shown_and_given_back(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord], paths: StatePaths
) -> None:
    spec(PUBLIC)
    done = run("firewall", "apply", "--router")
    assert done.code == 0
    assert "router: 192.168.1.1, by upnp; its own address is 1.2.3.4" in done.out
    assert "mapped  7882/udp  until 2030-" in done.out
    assert "the hub does it while it runs" in done.err
    assert Path(paths.router).stat().st_mode & 0o777 == 0o600
    assert "mapped  7882/udp" in run("firewall", "status").out
    assert "gave back 7882/udp" in run("firewall", "revert", "--router").err
    assert router == []
    assert not Path(paths.router).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as others")
def test_root_maps_ports_of_another_users_hub(
    run: Run,
    machine: Machine,
    spec: Spec,
    router: list[RouterRecord],
    applied: StatePaths,
    give_away: Callable[[StatePaths], None],
) -> None:
    spec(PUBLIC)
    give_away(applied)
    done = run("firewall", "apply", "--router")
    assert done.code == 0, done.err
    assert list_owners(applied) == {65534}
    assert run("firewall", "revert", "--router").code == 0


def test_mappings_that_can_not_be_recorded_are_given_back(
    run: Run,
    machine: Machine,
    spec: Spec,
    router: list[RouterRecord],
    paths: StatePaths,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that were not on record before: `revert` would not find them."""
    spec(PUBLIC)
    assert run("firewall", "apply", "--router").code == 0
    more = Mapping("tcp", 7881, "x", 1_800_000_000.0, 1_900_000_000.0)
    router[:] = [replace(record(), mappings=(*record().mappings, more))]
    given_back: list[RouterRecord] = []

    async def unmap(given: RouterRecord) -> None:
        given_back.append(given)

    def refuse(*_: object) -> None:
        raise MachineError("the disk is full")

    monkeypatch.setattr(firewall_router, "unmap_ports", unmap)
    monkeypatch.setattr(firewall_router, "write_router", refuse)
    done = run("firewall", "apply", "--router")
    assert (done.code, "the disk is full" in done.err) == (3, True)
    assert [each.mappings for each in given_back] == [(more,)]
    assert read_router(paths) == record()


def test_missing_renewal_of_mappings_is_explained(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec(PUBLIC)
    monkeypatch.setattr(firewall_router, "is_running", lambda paths: True)
    assert "note:" not in run("firewall", "apply", "--router").err


def test_a_router_behind_another_one_is_not_well(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord]
) -> None:
    spec(PUBLIC)
    router[:] = [record("100.64.1.1", until=None)]
    done = run("firewall", "apply", "--router")
    assert done.code == 1
    assert "carrier-grade NAT" in done.err
    assert "for good" in done.out
    assert run("firewall", "apply", "--router", "--json").json["reachable"] is False


def test_external_address_that_is_not_known_is_said_to_be_so(
    run: Run, machine: Machine, spec: Spec, paths: StatePaths
) -> None:
    spec(PUBLIC)
    Path(paths.router).parent.mkdir(parents=True, mode=0o700)
    write_router(paths, replace(record(), external_address=None))
    done = run("firewall", "status")
    assert (done.code, "its own address is not known" in done.out, "warning" in done.err) == (0, True, False)
    said = run("firewall", "status", "--json").json["router"]
    assert (said["outside"], said["reachable"]) == (None, None)


def test_dry_run_of_the_router_names_the_ports(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord], paths: StatePaths
) -> None:
    spec(PUBLIC)
    done = run("firewall", "apply", "--router", "--dry-run")
    assert done.out.startswith("the router would be asked for 7882/udp, 7881/tcp, 443/tcp")
    assert "7882/udp" in run("firewall", "apply", "--router", "--dry-run", "--json").json["mappings"]
    assert not Path(paths.router).exists()


def test_what_a_router_can_not_do_is_refused(
    run: Run, machine: Machine, spec: Spec, router: list[RouterRecord]
) -> None:
    spec(LAN)
    done = run("firewall", "apply", "--router")
    assert (done.code, "this is reach: lan" in done.err) == (2, True)
    spec(PUBLIC.replace("{advertise", "{udp: 50000-60000, advertise"))
    done = run("firewall", "apply", "--router")
    assert (done.code, "media.udp is 50000-60000" in done.err) == (2, True)


def test_a_damaged_record_of_the_router_is_reported(run: Run, machine: Machine, spec: Spec, paths: StatePaths) -> None:
    spec(LAN)
    Path(paths.root).mkdir(mode=0o700, exist_ok=True)
    Path(paths.router).write_text(dump_record(record())[:20])
    done = run("firewall", "status")
    assert (done.code, "router.json is damaged" in done.err) == (3, True)
