"""Other reports like those of cases.yaml; each test names its source."""

import json
from collections.abc import Iterator

import pytest

from lkhub.livekit.tokens import Grant, join_grant, sign
from lkhub.secret import Secret
from tests.field.nginx import OTHER_SITE
from tests.field.test_proxy import FORWARDED, HOST, UPSTREAM, WEBSOCKET, Behind, behind, lead
from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import HUB, HUB_SPEC, HUB_URL, PLAIN_SPEC, PORTS, Lan, call_from, on_client
from tests.namespaces.world import CLIENT_HOME, DOMAIN, HUB_HOME, PUBLIC, SPEC, TO_CLIENT, TO_HUB, make_world

__all__ = ["behind"]


@pytest.fixture
def without_turn(lan: Lan) -> Iterator[Hub]:
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.spec.write_text(f"{HUB_SPEC}turn: {{enabled: false}}\n")
        hub.up()
        yield hub


def test_path_that_the_spec_leaves_out_is_not_said_to_be_promised(without_turn: Hub) -> None:
    """A client that wants relays alone, of a server without TURN."""
    for path, key in (("turn-udp", "turn.udp and turn.enabled"), ("turn-tls", "turn.tls and turn.enabled")):
        done = without_turn.run("verify", "--path", path)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 1
        assert f"{key} of the spec, or its reach, leave the path out" in said, said
        assert "the spec promises this path" not in said
    assert without_turn.run("verify", "--path", "udp").returncode == 0


def test_call_without_turn_goes_over_udp(lan: Lan, without_turn: Hub) -> None:
    """libwebrtc drops media from the address of a STUN server, and then uses ICE/TCP, or does not connect."""
    with call_from(on_client(without_turn, lan.client), "direct") as call:
        call.wait_connected(speaker="udp", listener="udp")


def test_swapped_key_and_secret_are_neither_sent_nor_shown(lan: Lan, without_turn: Hub) -> None:
    """An agent's 401: LIVEKIT_API_KEY and LIVEKIT_API_SECRET changed places."""
    client = on_client(without_turn, lan.client)
    key, secret = client.environ["LIVEKIT_API_KEY"], client.environ["LIVEKIT_API_SECRET"]
    client.environ |= {"LIVEKIT_API_KEY": secret, "LIVEKIT_API_SECRET": key}
    done = client.run("verify", "--url", HUB_URL, "--path", "udp")
    assert (done.returncode, "look swapped" in done.stderr) == (2, True), done.stderr
    assert secret not in done.stdout + done.stderr
    assert secret not in without_turn.log("media"), "nothing was sent"
    # A token that was made so by something else.
    token = sign(Grant("somebody", join_grant("room")), secret, Secret(key.ljust(32, "x")))
    (client.folder / "token").write_text(token)
    done = client.run("verify", "--url", HUB_URL, "--token-file", str(client.folder / "token"), "--path", "udp")
    assert done.returncode == 1
    assert "key and secret are mixed up" in " ".join(done.stderr.split()), done.stderr
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_tls_to_the_plain_signalling_port(lan: Lan, scheme: str) -> None:
    """A page that tests connections by https alone, and a server without TLS."""
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.spec.write_text(PLAIN_SPEC)
        hub.up("--no-verify")
        done = on_client(hub, lan.client).run("verify", "--url", f"{scheme}://{HUB}:7880", "--path", "udp")
        assert done.returncode == 1
        assert "give ws:// instead of wss://" in done.stderr, done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "169.254.10.1", "172.17.0.1"])
def test_address_that_no_client_can_send_to_is_refused_before_anything_starts(lan: Lan, address: str) -> None:
    """`--node-ip=127.0.0.1` as the server's own generator prints it; a link-local address; a container's."""
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.spec.write_text(f"reach: lan\nmedia: {{advertise: {address}}}\n")
        done = hub.run("up", "--detach")
        assert done.returncode == 2
        assert f"hub.yaml:2: media.advertise: {address} is " in done.stderr, done.stderr


_LED = (WEBSOCKET, HOST, FORWARDED)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        # New clients ask below /rtc, for /rtc/v1.
        (lead(UPSTREAM, *_LED, location="= /rtc") + OTHER_SITE, "path-fails"),
        # Only signalling, without pages and API.
        (lead(UPSTREAM, *_LED, location="/rtc") + "location / { return 404; }", "page-fails"),
        (lead(UPSTREAM, *_LED) + "location /twirp { return 404; }", "api-fails"),
    ],
    ids=["exact-path", "signalling-alone", "no-api"],
)
def test_proxy_that_leads_a_part_of_the_name(behind: Behind, body: str, code: str) -> None:
    exit_code, text = behind.judge(body, "--spec", str(behind.hub.spec))
    assert exit_code == 1
    assert f"[{code}]" in text, text
    assert f"forward everything for rtc.example.com to the hub's upstream address, http://{UPSTREAM}" in text
    assert ("[api-fails]" in text) is (code == "api-fails")


def test_router_that_leads_another_port_number_to_media() -> None:
    """In the candidates for clients, only addresses are translated, and no ports."""
    forwards = (
        f"iifname {TO_CLIENT} ip daddr {PUBLIC} tcp dport {{443, 7881}} dnat to {HUB_HOME}\n "
        f"iifname {TO_CLIENT} ip daddr {PUBLIC} udp dport 20638 dnat to {HUB_HOME}:7882"
    )
    behind_nat = f"ip saddr {HUB_HOME} oifname {TO_CLIENT} snat to {PUBLIC}\n oifname {TO_HUB} masquerade"
    with (
        make_world(HUB_HOME, CLIENT_HOME, TO_CLIENT, forwards, behind_nat) as world,
        make_hub(world.hub.prefix, PORTS) as hub,
    ):
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stderr
        assert "each to the same number" in done.stderr
        done = on_client(hub, world.client).run("verify", "--url", f"wss://{DOMAIN}", "--json")
        told = json.loads(done.stdout)
        assert {path["path"]: path["ok"] for path in told["paths"]}["tcp"] is True, done.stdout
        fixes = [fix["text"] for finding in told["findings"] for fix in finding["fix"]]
        assert any("each to the same number" in text for text in fixes), done.stdout
