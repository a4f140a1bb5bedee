"""Clients in an office with an HTTP proxy, and on a phone that changes networks."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.http_proxy import http_proxy
from tests.kit.hub import Hub, make_hub
from tests.namespaces.lan import CLIENT, HUB, HUB_SPEC, HUB_URL, PORTS, Lan, call_from, hub_on, on_client
from tests.waiting import wait_until

PROXY_PORT = 3128
# The proxy's machine is the other end of the wire for both: what goes to it is seen to.
OFFICE, CLOUD = "rtc.example.com", "cloud.example.com"


def proxy_of(address: str) -> dict[str, str]:
    """The variables that an office sets in every user's environment."""
    names = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")
    url = f"http://{address}:{PROXY_PORT}"
    return {spelt: url for name in names for spelt in (name, name.upper())}


@pytest.mark.case("corporate-http-proxy")
def test_http_proxy_of_an_office_does_not_disturb_calls(lan: Lan, tmp_path: Path) -> None:
    """The hub is on this network or this machine; a proxy without it on its list refuses every request to it."""
    log = tmp_path / "asked"
    with http_proxy(lan.client, CLIENT, PROXY_PORT, log, CLOUD), make_hub(lan.hub.prefix, PORTS) as hub:
        # It works, and refuses: else nothing that follows would tell.
        asked = ["curl", "-sk", "--max-time", "20", "-x", f"http://{CLIENT}:{PROXY_PORT}", f"https://{HUB}/"]
        with pytest.raises(AssertionError):
            lan.hub.run(*asked)
        assert f"CONNECT {HUB}:443 HTTP/1.1 403" in log.read_text()
        before = log.read_text()

        hub.environ |= proxy_of(CLIENT)
        hub.spec.write_text(HUB_SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("verified ") == 4
        assert hub.status()["hub"]["state"] == "running"
        assert hub.run("verify").returncode == 0
        client = on_client(hub, lan.client)
        assert set(proxy_of(CLIENT)) <= client.environ.keys()
        done = client.run("verify", "--url", HUB_URL)
        assert done.returncode == 0, done.stdout + done.stderr
        assert log.read_text() == before, "nothing was asked for"


def used_from(hub: Hub, path: str) -> Any:
    """The address that a path was last used from, whichever end was the first to send."""
    hub.status()  # brings the record up to date
    path_use = json.loads((hub.state / "outside.json").read_text())["paths"][path]
    uses = [use for use in (path_use["seen"], path_use["unproven"]) if use]
    return max(uses, key=lambda use: use["at"])["address"] if uses else None


MOVED = "198.18.0.77"


@pytest.mark.case("network-handover")
def test_phone_that_changes_networks_is_back_in_its_call(lan: Lan) -> None:
    with hub_on(lan) as hub:
        assert hub.run("verify").returncode == 0
        with call_from(on_client(hub, lan.client), "handover") as call:
            call.wait_connected("udp", "udp")
            wait_until(lambda: used_from(hub, "udp") == CLIENT, "the hub has seen where they are")
            call.watch()
            lan.client.run("ip", "address", "delete", f"{CLIENT}/24", "dev", "lan0")
            lan.client.add_address("lan0", f"{MOVED}/24")
            # The SDK notices by its own ping; what a person does meanwhile is nothing.
            wait_until(lambda: used_from(hub, "udp") == MOVED, "they are back, from the new address", 90)
            call.watch()
            call.wait_connected("udp", "udp")
        assert [finding["code"] for finding in hub.findings() if finding["severity"] == "error"] == []
    lan.client.run("ip", "address", "delete", f"{MOVED}/24", "dev", "lan0")
    lan.client.add_address("lan0", f"{CLIENT}/24")
    lan.client.add_default_route(HUB)
