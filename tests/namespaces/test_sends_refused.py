"""A machine that forbids its own hub to send packets."""

import json
from typing import Any

from tests.kit.hub import Hub
from tests.namespaces.lan import Lan, hub_on

# A typical rule that keeps a machine from sending: the kernel answers the sender with EPERM.
FORBIDDEN = """
table inet outgoing {
  chain output {
    type filter hook output priority filter; policy accept;
    udp sport { 7882, 3478 } drop
  }
}
"""


def find(answer: dict[str, Any]) -> list[tuple[str, str]]:
    errors = [finding for finding in answer["findings"] if finding["severity"] == "error"]
    return [(finding["code"], finding["cause"]) for finding in errors]


def read_sends(hub: Hub) -> list[str]:
    return [finding["subject"] for finding in hub.findings() if finding["code"] == "sends-refused"]


def test_what_the_machine_forbids_is_named(lan: Lan) -> None:
    with hub_on(lan) as hub:
        lan.hub.run("nft", "-f", "-", text=FORBIDDEN)
        try:
            done = hub.run("verify", "--json")
            assert done.returncode == 1, done.stderr
            answer = json.loads(done.stdout)
            paths = {path["path"]: (path["ok"], path["reason"]) for path in answer["paths"]}
            assert paths["tcp"] == (True, "")
            assert paths["udp"] == paths["turn-udp"] == (False, "sends-refused"), answer["paths"]
            [(code, cause)] = find(answer)
            assert code == "path-fails"
            assert "forbids media to send" in cause
            assert find(hub.status()) == [(code, cause)], "the same is told once"
            # A verification of one path is not recorded, and neither is its result.
            hub.run("restart")
            assert hub.run("verify", "--path", "udp").returncode == 1
            assert read_sends(hub) == ["media"]
        finally:
            lan.hub.run("nft", "flush", "ruleset")
        assert hub.run("verify").returncode == 0
        assert read_sends(hub) == []
