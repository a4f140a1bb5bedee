"""Connections that lose packets, and connections that drop large ones."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kit.hub import Hub
from tests.kit.netns import Namespace, dropping
from tests.namespaces.lan import HUB_URL, Lan, hub_on, on_client
from tests.waiting import wait_until

LARGE = "iifname lan0 meta l4proto udp meta length > 1000"


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    with hub_on(lan) as made:
        yield made


def verify(client: Hub, *paths: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Each path's result, `verify`'s exit code by `code`, and what a person reads."""
    options = [part for path in paths for part in ("--path", path)]
    done = client.run("verify", "--url", HUB_URL, *options, "--json")
    told = client.run("verify", "--url", HUB_URL, *options)
    found = {path["path"]: path for path in json.loads(done.stdout)["paths"]}
    return found, {"code": done.returncode}, " ".join((told.stdout + told.stderr).split())


def _is_measured(seen: tuple[dict[str, Any], dict[str, Any], str]) -> bool:
    return bool(seen[0]["udp"]["loss"]) and "at stage connect" not in seen[2]


@contextmanager
def losing(machines: tuple[Namespace, ...], percent: int) -> Iterator[None]:
    """A line on which each way loses so many of a hundred packets of media."""
    match = f"iifname lan0 meta l4proto udp numgen random mod 100 < {percent}"
    one, other = machines
    with dropping(one, match), dropping(other, match):
        yield


def test_line_that_is_good_is_measured_and_no_finding(lan: Lan, hub: Hub) -> None:
    found, ended, text = verify(on_client(hub, lan.client), "udp", "turn-udp")
    assert ended["code"] == 0, text
    for path in found.values():
        assert path["loss"] < 0.03, path
        assert path["picture_loss"] < 0.03, path
        assert 0 < path["jitter_ms"] < 1000, path
    assert "path-lossy" not in text


@pytest.mark.case("heavy-loss")
def test_line_that_loses_a_third_is_no_good(lan: Lan, hub: Hub) -> None:
    client = on_client(hub, lan.client)
    with losing((lan.hub, lan.client), 20):
        # A line as bad as that may let no connection come up at all, in either of the two runs.
        found, ended, text = wait_until(
            lambda: next((seen for seen in [verify(client, "udp")] if _is_measured(seen)), None), "a measure"
        )
    assert ended["code"] == 1, text
    assert found["udp"]["ok"] is False
    assert found["udp"]["reason"] == "too-lossy", found
    assert "error: the path udp loses up to" in text
    assert "[path-lossy]" in text
    assert "[path-fails]" not in text, "one cause, one finding"
    assert "media.tcp" not in text


def test_line_that_loses_some_is_a_warning(lan: Lan, hub: Hub) -> None:
    with losing((lan.hub, lan.client), 5):
        found, ended, text = verify(on_client(hub, lan.client), "udp")
    assert ended["code"] == 0, text
    assert 0.03 < max(found["udp"]["loss"], found["udp"]["picture_loss"]) < 0.25, found
    assert "warning: the path udp loses up to" in text


def test_line_that_drops_what_is_large_carries_no_picture(lan: Lan, hub: Hub) -> None:
    with dropping(lan.hub, LARGE):
        found, ended, text = verify(on_client(hub, lan.client), "udp")
    assert ended["code"] == 1
    assert (found["udp"]["stage"], found["udp"]["reason"]) == ("media", "no-picture"), found
    assert "MTU" in text
