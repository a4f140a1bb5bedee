"""A hub on the LAN whose ports or address are not available."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kit.hub import Hub, make_hub
from tests.kit.netns import Namespace
from tests.namespaces.lan import HUB, HUB_SPEC, PORTS, Lan

_HOLD = """
import socket, sys
held = []
for protocol, address, port in (argument.split() for argument in sys.argv[1:]):
    held.append(socket.socket(type=socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM))
    held[-1].bind((address, int(port)))
    if protocol == "tcp":
        held[-1].listen()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(machine: Namespace, *sockets: str) -> Iterator[int]:
    """The pid of a process that holds sockets such as `udp 127.0.0.1 7882`."""
    pipe = subprocess.PIPE
    argv = [*machine.prefix, sys.executable, "-c", _HOLD, *sockets]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n", sockets
            yield holder.pid
        finally:
            holder.kill()


def test_who_holds_a_port_on_the_lan_address_is_named(lan: Lan) -> None:
    # The bridge's 7881 is in the way too: LiveKit binds that one on every interface.
    lan.hub.add_bridge("docker0", "172.17.0.1/16")
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.spec.write_text(HUB_SPEC)
        sockets = (f"udp {HUB} 7882", f"tcp {HUB} 443", f"tcp {HUB} 80", "tcp 127.0.0.1 7880", "tcp 172.17.0.1 7881")
        with holding(lan.hub, *sockets) as pid:
            done = hub.run("up", "--detach")
        assert (done.returncode, done.stdout) == (3, ""), done.stdout + done.stderr
        for port, key in (
            (r"udp port 7882 \(media\)", "media.udp"),
            (r"tcp port 7881 \(media over TCP\)", "media.tcp"),
            (r"tcp port 443 \(HTTPS, signalling, TURN over TLS\)", "tls.listen"),
            (r"tcp port 80 \(to HTTPS\)", "tls.http"),
            (r"tcp port 7880 \(signalling\)", "media.signal"),
        ):
            assert len(re.findall(rf"{port} is in use by python[\d.]* \(pid {pid}\b", done.stderr)) == 1, done.stderr
            assert key in done.stderr.partition("hint:")[2]
        assert done.stderr.count("hint:") == 1, "one holder, one way out"
        assert "kill" not in done.stderr
        assert_nothing_runs(hub, lan.hub)


def test_ports_held_on_other_addresses_are_no_obstacle(lan: Lan) -> None:
    with make_hub(lan.hub.prefix, PORTS) as hub, holding(lan.hub, "udp 127.0.0.1 7882", "udp 127.0.0.1 3478"):
        hub.spec.write_text(HUB_SPEC)
        hub.up()


def test_an_address_of_another_machine_is_refused(lan: Lan) -> None:
    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.spec.write_text("reach: lan\nmedia:\n  advertise: 203.0.113.9\n")
        done = hub.run("up", "--detach")
        assert (done.returncode, done.stdout) == (2, "")
        assert "hub.yaml:3: media.advertise: 203.0.113.9 is not an address of this machine" in done.stderr
        assert HUB in done.stderr, "what it has instead is not shown"
        assert_nothing_runs(hub, lan.hub)


def assert_nothing_runs(hub: Hub, machine: Namespace) -> None:
    assert hub.status()["hub"]["state"] == "stopped"
    assert machine.pids() == []
