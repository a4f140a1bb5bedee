"""`verify` and real clients on another machine of the LAN, through firewalls in front of the hub."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.kit.browser import join_two_by, profile
from tests.kit.hub import Hub, make_hub
from tests.kit.links import links_of
from tests.kit.netns import dropping
from tests.namespaces.lan import CLIENT, HUB, HUB_SPEC, HUB_URL, NO_UDP, ONLY_443, PORTS, Lan, call_from, on_client
from tests.waiting import DEADLINE_SECONDS, wait_until

MEDIA_UDP = f"iifname lan0 udp dport {PORTS['udp']}"
MEDIA_TCP = "iifname lan0 tcp dport 7881"


@dataclass(frozen=True)
class Firewall:
    """What is dropped in front of the hub, where each path then ends, and how a native client (none: not at all) and a
    browser connect."""

    drops: tuple[str, ...]
    stages: dict[str, str]
    native: str
    browser: str


ALL = dict.fromkeys(("udp", "tcp", "turn-udp", "turn-tls"), "media")
FIREWALLS = {
    "all-open": Firewall((), ALL, "udp", "udp"),
    "no-udp": Firewall((NO_UDP,), ALL | {"udp": "connect", "turn-udp": "gather"}, "tcp", "tcp"),
    "relay-only": Firewall((MEDIA_UDP, MEDIA_TCP), ALL | {"udp": "connect", "tcp": "connect"}, "relay", "relay/udp"),
    # Native clients get no media there: libwebrtc knows no root but its own for TURN over TLS.
    "443-tcp-alone": Firewall(
        ONLY_443,
        {"udp": "connect", "tcp": "connect", "turn-udp": "gather", "turn-tls": "media"},
        "",
        "relay/tls",
    ),
}


@pytest.fixture(scope="module")
def hub(lan: Lan) -> Iterator[Hub]:
    """A hub for the LAN, up and verified by itself alone."""
    with make_hub(lan.hub.prefix, PORTS) as made:
        made.spec.write_text(HUB_SPEC)
        made.up()
        assert seen_outside(made.status()["verified"]) == dict.fromkeys(ALL)
        yield made


def seen_outside(verified: dict[str, Any]) -> dict[str, str | None]:
    """From where each path was used by another machine."""
    return {path["path"]: path["outside"] and path["outside"]["address"] for path in verified["paths"]}


@pytest.mark.parametrize("name", FIREWALLS)
def test_verify_distinguishes_paths_and_calls_use_the_remaining_one(
    lan: Lan, hub: Hub, browser: Browser, name: str
) -> None:
    firewall = FIREWALLS[name]
    client = on_client(hub, lan.client)
    # Blocked paths take verify some seconds; the calls are on their way meanwhile.
    with (
        dropping(lan.hub, *firewall.drops),
        client.start("verify", "--url", HUB_URL, "--json") as verifying,
    ):
        if firewall.native:
            with call_from(client, f"{name}-native") as call:
                call.wait_connected(firewall.native, firewall.native)
        with profile(browser) as context:
            for guest in join_two_by(context, firewall.browser, *links_of(hub, name)):
                assert {end.split()[1].rpartition(":")[0] for end in guest.ends()} == {HUB}
        stdout, stderr = verifying.communicate(timeout=DEADLINE_SECONDS)
    answer = json.loads(stdout)
    assert {found["path"]: found["stage"] for found in answer["paths"]} == firewall.stages, stdout + stderr
    assert all(found["ok"] is (found["stage"] == "media") for found in answer["paths"]), stdout
    assert (verifying.returncode, answer["ok"]) == ((1, False) if firewall.drops else (0, True))


@pytest.mark.case("native-root-missing")
def test_verify_says_what_it_met(lan: Lan, hub: Hub) -> None:
    client = on_client(hub, lan.client)
    done = client.run("verify", "--url", HUB_URL, "--json")
    paths = {path["path"]: path for path in json.loads(done.stdout)["paths"]}
    assert paths["udp"]["remote"] == f"udp host {HUB}:7882"
    assert paths["tcp"]["remote"] == f"tcp host {HUB}:7881"
    assert paths["turn-udp"]["relay"] == f"turn:{HUB}:3478?transport=udp"
    assert paths["turn-tls"]["relay"] == f"turns:{HUB}:443?transport=tcp"
    assert [path["native"] for path in paths.values()] == [None, None, None, False]
    for path in paths.values():
        assert 0 <= path["loss"] < 0.5, path
        assert 0 < path["rtt_ms"] < path["connect_ms"], path
    assert seen_outside(json.loads(done.stdout)) == dict.fromkeys(ALL), "it knows nothing of another machine's hub"


def test_a_hub_says_from_where_its_paths_were_used(lan: Lan, hub: Hub) -> None:
    before = time.time()
    assert on_client(hub, lan.client).run("verify", "--url", HUB_URL).returncode == 0
    used = dict.fromkeys(ALL, CLIENT)

    def is_seen() -> bool:
        verified = hub.status()["verified"]
        return seen_outside(verified) == used and all(path["outside"]["at"] > before for path in verified["paths"])

    wait_until(is_seen, "the client's calls are seen")
    # The hub's own calls do not count as another machine's, and the record outlives the process that wrote it.
    assert seen_outside(json.loads(hub.run("verify", "--json").stdout)) == used
    hub.run("restart", "relay")
    text = hub.run("verify", "--path", "turn-udp").stdout
    assert re.search(rf"turn-udp +ok .*; outside: \d+ s ago from {CLIENT}\n", text), text


def test_a_closed_port_is_the_stage_tcp(lan: Lan, hub: Hub) -> None:
    client = on_client(hub, lan.client)
    done = client.run("verify", "--url", f"wss://{HUB}:7890")
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("at stage tcp: connection refused") == len(ALL), done.stdout
    all_of_them = "the paths udp, tcp, turn-udp and turn-tls"
    assert f"error: no call gets through on {all_of_them} [path-fails]" in " ".join(done.stderr.split())


def test_client_that_does_not_trust_the_hub_is_told_so(lan: Lan, hub: Hub) -> None:
    client = on_client(hub, lan.client)
    del client.environ["SSL_CERT_FILE"]
    done = client.run("verify", "--url", HUB_URL, "--path", "udp", "--json")
    assert done.returncode == 1
    [path] = json.loads(done.stdout)["paths"]
    assert (path["ok"], path["stage"]) == (False, "tls"), path
    assert "authority" in path["detail"], path
