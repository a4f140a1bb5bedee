"""What a file is."""

import pytest

from lkhub.inspect.given import GivenFile
from lkhub.inspect.kinds import find_kind, find_top


@pytest.mark.parametrize(
    ("path", "top", "kind"),
    [
        ("livekit.yaml", {"port", "rtc", "keys"}, "livekit.yaml"),
        ("deploy/config.yaml", {"port", "rtc", "keys"}, "livekit.yaml"),
        ("deploy/config.yaml", {"rtc", "turn", "extra"}, "livekit.yaml"),
        ("livekit.yaml.example", {"port", "redis"}, "livekit.yaml"),
        ("C:\\\\livekit\\\\LiveKit.yml", {"port"}, "livekit.yaml"),
        # Its name says what was meant, and most of what is in it is wrong.
        ("deploy/livekit.yaml", {"server", "keys", "codecs", "limits"}, "livekit.yaml"),
        ("livekit-production.yaml", {"server", "node", "keys"}, "livekit.yaml"),
        # Egress, ingress, Caddy with layer4, compose, Helm values, Synapse and Kubernetes.
        ("egress.yaml", {"api_key", "api_secret", "ws_url", "redis", "log_level"}, "unknown"),
        ("livekit-ingress.yaml", {"api_key", "api_secret", "ws_url", "redis", "rtmp_port", "whip_port"}, "unknown"),
        ("livekit/caddy.yaml", {"logging", "storage", "apps"}, "unknown"),
        ("livekit.yaml", {"services", "volumes", "keys", "rtc"}, "unknown"),
        ("values.yaml", {"replicaCount", "livekit", "ingress", "resources"}, "unknown"),
        ("homeserver.yaml", {"server_name", "listeners", "turn_uris", "redis"}, "unknown"),
        ("livekit-server.yaml", {"apiVersion", "kind", "metadata", "data"}, "unknown"),
        ("livekit.yaml", set(), "unknown"),
    ],
)
def test_kind_follows_from_what_is_in_it(path: str, top: set[str], kind: str) -> None:
    assert find_kind(GivenFile(path, ""), top) == kind


def test_template_that_is_no_yaml_yet_has_its_keys() -> None:
    text = "port: 7880\n{{ if .turn }}\nturn:\n  enabled: true\n{{ end }}\nkeys: {{ .keys }}\n# rtc: 1\n"
    assert find_top(text) == {"port", "turn", "keys"}
