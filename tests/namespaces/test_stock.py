"""`lkhub verify --url` from another machine, against a stock LiveKit as people set it up by hand."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.stock import build_stock
from hatch_build import COMPILE_FLAGS
from tests.kit.netns import dropping
from tests.namespaces.lan import HUB, Lan, make_lan
from tests.namespaces.proxied import NAME, TURN_NAME, write_certificates
from tests.namespaces.stock import SECRET, on_client, serving
from tests.waiting import DEADLINE_SECONDS

# A documentation address (RFC 5737): no machine answers.
NOWHERE = "198.51.100.9"

# Another address of the server's machine.
SECOND = "198.18.0.3"

# What no NAT and no client's firewall lets in: LiveKit sends to clients by itself, and its address would show.
UNASKED = "iifname lan0 meta l4proto udp ct state new"

ALL = ("udp", "tcp", "turn-udp", "turn-tls")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """livekit-server, of packages that Go's build cache has since the engine was built."""
    return build_stock(tmp_path_factory.mktemp("stock"), *COMPILE_FLAGS, "-ldflags=-s -w")


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with make_lan() as made:
        made.name_hosts({NAME: HUB, TURN_NAME: HUB})
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path, NAME, TURN_NAME)
    return tmp_path


def verify(lan: Lan, folder: Path, code: int, only: Sequence[str] = ALL) -> tuple[dict[str, dict[str, Any]], str]:
    """The paths of `verify --json`, and what it says to people. Both must exit with `code`."""
    client = on_client(lan, folder)
    command = ("verify", "--url", f"wss://{NAME}", *(word for path in only for word in ("--path", path)))
    with client.start(*command, "--json") as as_json, client.start(*command) as as_text:
        said = [process.communicate(timeout=DEADLINE_SECONDS) for process in (as_json, as_text)]
    everything = "".join(part for pair in said for part in pair)
    assert SECRET not in everything
    assert (as_json.returncode, as_text.returncode) == (code, code), everything
    answer = json.loads(said[0][0])
    assert answer["ok"] is (code == 0), everything
    assert [path["path"] for path in answer["paths"]] == list(only)
    return {path["path"]: path for path in answer["paths"]}, "".join(said[1])


def seen(paths: dict[str, dict[str, Any]]) -> dict[str, tuple[bool | None, str]]:
    return {name: (path["ok"], path["stage"]) for name, path in paths.items()}


@pytest.mark.case("turn-tls-port-443-hardcoded")
def test_web_server_on_the_port_that_clients_are_told_for_turn_is_named(lan: Lan, program: str, folder: Path) -> None:
    with serving(lan.hub, program, folder):
        paths, text = verify(lan, folder, 1)
    assert seen(paths) == dict.fromkeys(ALL, (True, "media")) | {"turn-tls": (False, "gather")}, paths
    assert paths["udp"]["remote"] == f"udp host {HUB}:7882"
    assert paths["tcp"]["remote"] == f"tcp host {HUB}:7881"
    assert paths["turn-udp"]["relay"] == f"turn:{HUB}:3478?transport=udp"
    failed = paths["turn-tls"]
    assert failed["relay"] == f"turns:{NAME}:443?transport=tcp"
    assert failed["detail"].startswith(f"{HUB}:443 speaks HTTP, not TURN: "), failed
    assert "with LiveKit's own TURN clients are told 443, whatever turn.tls_port is" in text, text
    assert "fix: give TURN a name of its own (turn.domain)" in text, text


def test_turn_is_reached_on_the_same_port_by_a_name_of_its_own(lan: Lan, program: str, folder: Path) -> None:
    """What the finding above says helps."""
    with serving(lan.hub, program, folder, turn_domain=TURN_NAME, by_name=True):
        paths, _ = verify(lan, folder, 0)
    assert seen(paths) == dict.fromkeys(ALL, (True, "media")), paths
    assert paths["turn-tls"]["relay"] == f"turns:{TURN_NAME}:443?transport=tcp"


def test_address_that_leads_nowhere_is_named(lan: Lan, program: str, folder: Path) -> None:
    """The usual fault of a LiveKit behind a NAT or in a container: signalling works, and no media."""
    with serving(lan.hub, program, folder, node_ip=NOWHERE), dropping(lan.client, UNASKED):
        paths, text = verify(lan, folder, 1)
    stages = {"udp": "connect", "tcp": "connect", "turn-udp": "gather", "turn-tls": "gather"}
    assert seen(paths) == {name: (False, stage) for name, stage in stages.items()}, paths
    assert f"udp {NOWHERE}:7882" in paths["udp"]["detail"], paths
    assert f"tcp {NOWHERE}:7881" in paths["tcp"]["detail"], paths
    assert f"turn:{NOWHERE}:3478" in paths["turn-udp"]["detail"], paths
    # Of UDP, media's and the relay's together, and of TCP.
    assert text.count("fix: see whether the server is reached from here at the address that was tried") == 2, text
    assert "rtc.node_ip" in text, text


def test_unrequested_media_does_not_hide_that_address(lan: Lan, program: str, folder: Path) -> None:
    """This client has no NAT: LiveKit's own packets reach it."""
    with serving(lan.hub, program, folder, node_ip=NOWHERE, turn_domain=""):
        paths, text = verify(lan, folder, 0, ["udp"])
        both, _ = verify(lan, folder, 1, ["udp", "tcp"])
    assert seen(paths) == {"udp": (True, "media")}, paths
    assert paths["udp"]["remote"] == f"udp prflx {HUB}:7882"
    told = f"media came from udp {HUB}:7882, which clients are not told, and nothing answered at udp {NOWHERE}:7882"
    assert told in paths["udp"]["detail"], paths
    assert paths["udp"]["evidence"] == {"untold": f"udp {HUB}:7882"}
    assert text.count("[address-not-told]") == 1, text
    assert "rtc.node_ip" in text, text
    assert seen(both) == {"udp": (True, "media"), "tcp": (False, "connect")}, both


def test_of_several_addresses_livekit_listens_on_the_one_that_it_is_given(lan: Lan, program: str, folder: Path) -> None:
    """What the page of findings says. Otherwise LiveKit takes one of them by chance, and tells clients the other."""
    lan.hub.add_address("lan0", f"{SECOND}/24")
    only = f"ips: {{includes: [{SECOND}/32]}}"
    with serving(lan.hub, program, folder, node_ip=SECOND, rtc=only, turn_domain=""):
        paths, text = verify(lan, folder, 0, ["udp", "tcp"])
    assert seen(paths) == dict.fromkeys(("udp", "tcp"), (True, "media")), paths
    assert "address-not-told" not in text, text


def test_turn_server_that_relays_nowhere_near_is_named(lan: Lan, program: str, folder: Path) -> None:
    with serving(lan.hub, program, folder, peers="10.0.0.0/8"):
        paths, text = verify(lan, folder, 1, ["turn-udp"])
    assert (paths["turn-udp"]["stage"], paths["turn-udp"]["reason"]) == ("connect", "turn-forbids"), paths
    assert "turn.allow_restricted_peer_cidrs" in text, text
    assert "firewall" not in text, text


def test_path_that_is_not_offered_is_no_failure(lan: Lan, program: str, folder: Path) -> None:
    with serving(lan.hub, program, folder, turn_domain=""):
        paths, text = verify(lan, folder, 0)
    not_tried = dict.fromkeys(("turn-udp", "turn-tls"), (None, "join"))
    assert seen(paths) == dict.fromkeys(ALL, (True, "media")) | not_tried, paths
    assert paths["turn-tls"]["detail"].startswith("no TURN over TLS offered"), paths
    assert text.count("[path-not-tried]") == 2, text
