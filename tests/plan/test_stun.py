"""STUN and TURN servers of a spec that are media's own port."""

import pytest

from lkhub.plan.build import build_plan
from lkhub.spec.load import load_spec
from tests.machines import INSTALLATION, MACHINES

LAN = "reach: lan\ndomain: hub.example.com\nmedia: {udp: 7882, advertise: [192.168.1.5, 'fd00::5']}\n"


@pytest.mark.parametrize(
    ("server", "refused"),
    [
        ("192.168.1.5:7882", True),
        ("192.168.1.5:3478", False),
        ("192.168.1.6:7882", False),
        ("[fd00::5]:7882", True),
        ("[FD00:0:0::5]:7882", True),
        ("[fd00::6]:7882", False),
        ("hub.example.com:7882", True),
        ("HUB.example.com.:7882", True),
        ("stun.example.com:7882", False),
    ],
)
def test_server_that_is_medias_own_port_is_a_fault_however_it_is_written(server: str, refused: bool) -> None:
    for text in (f'stun: ["{server}"]', f'turn: {{external: [{{url: "turn:{server}", username: a, credential: b}}]}}'):
        loaded = load_spec((LAN + text).encode())
        build_plan(loaded, MACHINES["laptop"], INSTALLATION)
        found = [str(fault) for fault in loaded.faults if "media's own port" in str(fault)]
        assert len(found) == refused, (text, loaded.faults)


def test_turn_server_over_tcp_takes_nothing_from_media() -> None:
    text = 'turn: {external: [{url: "turn:192.168.1.5:7882?transport=tcp", username: a, credential: b}]}'
    loaded = load_spec((LAN + text).encode())
    build_plan(loaded, MACHINES["laptop"], INSTALLATION)
    assert not [fault for fault in loaded.faults if "media's own port" in str(fault)]
