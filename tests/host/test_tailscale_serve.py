"""What tailscaled serves, by its own words."""

from pathlib import Path
from typing import Any

import pytest

from lkhub.host.tailscale_serve import ask_served
from lkhub.plan.served import Served
from tests.kit.tailscaled import Tailscaled, run_tailscaled

WEB = {"hub.tail1234.ts.net:443": {"Handlers": {"/": {"Proxy": "http://127.0.0.1:3000"}}}}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, ()),
        ({}, ()),
        ({"TCP": {"443": {"HTTPS": True}}, "Web": WEB}, (Served(443, "https"),)),
        (
            {"TCP": {"7881": {"TCPForward": "127.0.0.1:22"}, "80": {"HTTP": True}}},
            (Served(80, "http"), Served(7881, "tcp")),
        ),
        (
            {"TCP": {"443": {"TCPForward": "127.0.0.1:22", "TerminateTLS": "hub.tail1234.ts.net"}}},
            (Served(443, "tls-terminated-tcp"),),
        ),
        ({"Foreground": {"1a2b": {"TCP": {"443": {"HTTPS": True}}, "Web": WEB}}}, (Served(443, "https", kept=False),)),
        ({"TCP": {"443": None}}, ()),
        ({"TCP": ["443"]}, ()),
        ([443], ()),
    ],
)
def test_ports_that_it_serves(short_dir: Path, config: Any, expected: tuple[Served, ...]) -> None:
    path = str(short_dir / "s")
    with run_tailscaled(path, Tailscaled(serves=config)):
        assert ask_served({"TS_SOCKET": path}) == expected


def test_nothing_is_known_without_a_daemon_and_without_permission(short_dir: Path) -> None:
    path = str(short_dir / "s")
    assert ask_served({"TS_SOCKET": path}) == ()
    with run_tailscaled(path, Tailscaled(permit_read=False, serves={"TCP": {"443": {"HTTPS": True}}})):
        assert ask_served({"TS_SOCKET": path}) == ()
