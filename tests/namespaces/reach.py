"""Which ports of a machine another one reaches, without waiting for packets that do not arrive.

Everything is sent at once, and a datagram to a control port last, some times over. Packets on a wire stay in order:
when the control port answers, what was let through before it has been answered too, and the rest was dropped.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kit.netns import Namespace

CONTROL = 9

# The kernel may let packets of two flows overtake one another once, while it learns where they go.
ROUNDS = 3

Port = tuple[str, int]
"""Protocol and port."""

_SERVER = """
import json, select, socket, sys
control, ports = json.loads(sys.argv[1])
def udp(port):
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind(("::", port))
    return made
def tcp(port):
    made = socket.socket(socket.AF_INET6)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("::", port))
    made.listen()
    return made
listening = [tcp(port) for protocol, port in ports if protocol == "tcp"]
others = [udp(port) for protocol, port in ports if protocol == "udp"]
last = udp(control)
print("ready", flush=True)
while True:
    select.select([*others, last], [], [])
    while True:
        ready, _, _ = select.select(others, [], [], 0)
        if not ready:
            break
        for one in ready:
            data, sender = one.recvfrom(64)
            one.sendto(data, sender)
    if select.select([last], [], [], 0)[0]:
        data, sender = last.recvfrom(64)
        # What came before it may have been queued since the look above.
        for one in select.select(others, [], [], 0)[0]:
            before, who = one.recvfrom(64)
            one.sendto(before, who)
        last.sendto(data, sender)
"""

_CLIENT = (
    f"ROUNDS = {ROUNDS}"
    + """
import json, socket, sys
host, control, ports = json.loads(sys.argv[1])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
tried = []
for protocol, port in ports:
    one = socket.socket(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)
    one.setblocking(False)
    if protocol == "udp":
        one.connect((host, port))
    else:
        one.connect_ex((host, port))
    tried.append(one)
last = socket.socket(family, socket.SOCK_DGRAM)
last.settimeout(20)
last.connect((host, control))
for _ in range(ROUNDS):
    for one in tried:
        if one.type == socket.SOCK_DGRAM:
            try:
                one.send(b"?")
            except OSError:
                pass  # it was refused
    last.send(b"?")
    last.recv(64)
def reached(one):
    try:
        if one.type == socket.SOCK_DGRAM:
            return one.recv(64) == b"?"
        one.getpeername()
        return True
    except OSError:
        return False
print(json.dumps([port for port, one in zip(ports, tried) if reached(one)]))
"""
)


@contextmanager
def answering(machine: Namespace, *ports: Port) -> Iterator[None]:
    """A program on the machine that answers on these ports and on the control port."""
    argv = [*machine.prefix, sys.executable, "-c", _SERVER, json.dumps([CONTROL, ports])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()


def reach(client: Namespace, host: str, *ports: Port) -> set[Port]:
    """The ports that packets from `client` reach."""
    said = client.run(sys.executable, "-c", _CLIENT, json.dumps([host, CONTROL, ports]))
    return {(protocol, port) for protocol, port in json.loads(said)}
