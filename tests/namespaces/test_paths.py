"""`verify` and real clients on another machine of the LAN, through firewalls in front of the hub."""

import json
from collections.abc import Iterator

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import dropping
from tests.namespaces.lan import HUB, HUB_SPEC, HUB_URL, PORTS, Lan, call_from, on_client
from tests.waiting import DEADLINE_SECONDS

UDP = "iifname lan0 meta l4proto udp"
MEDIA_UDP = f"iifname lan0 udp dport {PORTS['udp']}"
MEDIA_TCP = "iifname lan0 tcp dport 7881"


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    """A hub for the LAN, up and not verified."""
    with make_hub(lan.hub.prefix, PORTS) as made:
        made.spec.write_text(HUB_SPEC)
        made.up("--no-verify")
        yield made


@pytest.mark.parametrize(
    ("dropped", "stages", "path"),
    [
        pytest.param((), {"udp": "media", "tcp": "media", "turn-udp": "media"}, "udp", id="all-open"),
        pytest.param((UDP,), {"udp": "connect", "tcp": "media", "turn-udp": "gather"}, "tcp", id="no-udp"),
        pytest.param(
            (MEDIA_UDP, MEDIA_TCP), {"udp": "connect", "tcp": "connect", "turn-udp": "media"}, "relay", id="relay-only"
        ),
    ],
)
def test_verify_tells_paths_apart_and_a_call_takes_the_one_that_is_left(
    lan: Lan, hub: Hub, dropped: tuple[str, ...], stages: dict[str, str], path: str
) -> None:
    client = on_client(hub, lan.client)
    # Blocked paths take verify some seconds; the call is on its way meanwhile.
    with (
        dropping(lan.hub, *dropped),
        client.start("verify", "--url", HUB_URL, "--json") as verifying,
        call_from(client, path) as call,
    ):
        call.wait_connected(path, path)
        stdout, stderr = verifying.communicate(timeout=DEADLINE_SECONDS)
    answer = json.loads(stdout)
    assert {found["path"]: found["stage"] for found in answer["paths"]} == stages, stdout + stderr
    assert all(found["ok"] is (found["stage"] == "media") for found in answer["paths"]), stdout
    assert (verifying.returncode, answer["ok"]) == ((1, False) if dropped else (0, True))


def test_verify_says_what_it_met(lan: Lan, hub: Hub) -> None:
    client = on_client(hub, lan.client)
    done = client.run("verify", "--url", HUB_URL, "--json")
    paths = {path["path"]: path for path in json.loads(done.stdout)["paths"]}
    assert paths["udp"]["remote"] == f"udp host {HUB}:7882"
    assert paths["tcp"]["remote"] == f"tcp host {HUB}:7881"
    assert paths["turn-udp"]["relay"] == f"turn:{HUB}:3478?transport=udp"
    for path in paths.values():
        assert 0 <= path["loss"] < 0.5, path
        assert 0 < path["rtt_ms"] < path["connect_ms"], path


def test_a_closed_port_is_the_stage_tcp(lan: Lan, hub: Hub) -> None:
    client = on_client(hub, lan.client)
    done = client.run("verify", "--url", f"ws://{HUB}:7890")
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("at stage tcp: connection refused") == 3, done.stdout
    assert "error: no call gets through on the path udp [path-fails]" in done.stderr
