"""A hub for this machine only, behind an nginx that adds no forwarding headers."""

import json
from pathlib import Path

from tests.field.nginx import nginx
from tests.kit.hub import Hub
from tests.kit.netns import Namespace
from tests.namespaces.proxied import NAME, TURN_NAME, write_certificates


def test_plain_proxy_pass_is_warned_of_with_the_program_and_where_it_listens(
    machine: Namespace, hub: Hub, tmp_path: Path
) -> None:
    write_certificates(tmp_path, NAME, TURN_NAME)
    hub.up("--no-verify")
    assert hub.findings() == []
    with nginx(machine, tmp_path, "cert", f"location / {{ proxy_pass http://127.0.0.1:{hub.ports['web']}; }}"):
        asked = ("-sk", "-H", "content-type: application/json", "-d", '{"room": "lobby"}')
        answer = json.loads(machine.run("curl", *asked, "https://127.0.0.1/api/livekit/token"))
        assert answer["room"] == "lobby", "it can't be told from a program that asks for itself"
        [finding] = hub.findings()
        assert finding["code"] == "open-behind-proxy"
        assert finding["detail"].startswith("nginx (pid ")
        assert "0.0.0.0:443" in finding["detail"]
    hub.write_spec("tls: {mode: internal, listen: 7443, http: off}\n")
    hub.up("--no-verify")
    assert hub.findings() == [], "this hub gives tokens to nobody"
