"""A firewall on the hub's own machine, with only the usual ports open."""

import json
from typing import Any

import pytest

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.namespaces.lan import PORTS, make_lan, on_client
from tests.namespaces.world import DOMAIN, PUBLIC, SPEC

CLIENT = "93.184.216.9"

# As in the report: 443 and the usual range of a WebRTC server.
HABIT = """
table inet filter {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname lo accept
    ct state established,related accept
    tcp dport { 80, 443 } accept
    udp dport 50000-60000 accept
  }
}
"""


def closed(hub: Hub) -> list[dict[str, Any]]:
    return [finding for finding in hub.findings() if finding["code"] == "port-closed"]


def call(hub: Hub, client: Namespace, *arguments: str) -> dict[str, Any]:
    done = on_client(hub, client).run("verify", "--url", f"wss://{DOMAIN}", "--json", *arguments)
    return {path["path"]: path for path in json.loads(done.stdout)["paths"]}


@pytest.mark.case("host-firewall-closed")
def test_closed_ports_are_reported_and_opened() -> None:
    with make_lan(PUBLIC, CLIENT, "eth0") as lan, make_hub(lan.hub.prefix, PORTS) as hub:
        lan.name_hosts({DOMAIN: PUBLIC})
        lan.hub.run("nft", "-f", "-", text=HABIT)
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 1, done.stdout + done.stderr
        title = (
            "error: this machine's firewall keeps clients from 7882/udp (media), 7881/tcp (media over TCP), 3478/udp"
        )
        assert title in done.stderr
        assert "policy" in done.stderr
        assert hub.run("status").returncode == 1
        [finding] = closed(hub)
        assert finding["subject"] == "7882/udp"
        verified = hub.run("verify", "--json")
        assert verified.returncode == 1
        assert [row["code"] for row in json.loads(verified.stdout)["findings"]][-1] == "port-closed"

        # The server's own checks open a way to a client without NAT, which proves nothing for others.
        paths = call(hub, lan.client, "--path", "udp", "--path", "tcp", "--path", "turn-tls")
        assert {name: path["ok"] for name, path in paths.items()} == {"udp": False, "tcp": False, "turn-tls": True}
        assert (paths["udp"]["stage"], paths["udp"]["reason"]) == ("connect", "server-first")
        assert f"{PUBLIC}:7882" in paths["udp"]["detail"]

        command = finding["fix"][0]["command"].removeprefix("sudo ")
        lan.hub.run("sh", "-c", command)
        assert closed(hub) == []
        paths = call(hub, lan.client)
        assert all(path["ok"] for path in paths.values()), paths
        assert hub.run("verify").returncode == 0


@pytest.mark.case("host-firewall-closed")
def test_firewall_that_lets_clients_in_is_nothing_to_tell() -> None:
    with make_lan(PUBLIC, CLIENT, "eth0") as lan, make_hub(lan.hub.prefix, PORTS) as hub:
        lan.name_hosts({DOMAIN: PUBLIC})
        lan.hub.run(
            "nft", "-f", "-", text=HABIT.replace("50000-60000 accept", "{ 7882, 3478 } accept; tcp dport 7881 accept")
        )
        hub.spec.write_text(SPEC)
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert closed(hub) == []
