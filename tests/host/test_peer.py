import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lkhub.host import peer as peer_module
from lkhub.host.peer import find_peer
from lkhub.host.processes import identify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="from Linux' tables")

# Listens at the address that it is given, connects to the port, says where it listens, and waits.
PROGRAM = """
import os, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.socket(family)
listener.bind((sys.argv[1], 0))
listener.listen()
asking = socket.create_connection((sys.argv[2], int(sys.argv[3])))
if sys.argv[4:]:
    open("/proc/self/comm", "wb").write(os.fsencode(sys.argv[4]))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def asked_by(
    listens: str, ours: str = "127.0.0.1", *name: bytes
) -> Iterator[tuple[tuple[str, int], tuple[str, int], int, int]]:
    """A program that listens at an address asks us: both ends, where it listens, and its pid."""
    family = socket.AF_INET6 if ":" in ours else socket.AF_INET
    with socket.socket(family) as here:
        here.bind((ours, 0))
        here.listen()
        argv = [sys.executable, "-c", PROGRAM, listens, ours, str(here.getsockname()[1]), *map(os.fsdecode, name)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            assert program.stdout
            connection, theirs = here.accept()
            with connection:
                port = int(program.stdout.readline())
                yield here.getsockname()[:2], theirs[:2], port, program.pid
            program.communicate()


@pytest.mark.parametrize("ours", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(("listens", "shown"), [("0.0.0.0", "0.0.0.0:{}"), ("::", "[::]:{}")])
def test_program_that_listens_for_others_is_known(ours: str, listens: str, shown: str) -> None:
    with asked_by(listens, ours) as (here, there, port, pid):
        found = find_peer(here, there)
    assert found is not None
    assert (found.pid, found.listens) == (pid, (shown.format(port),))
    assert found.name.startswith("python")
    assert not found.service


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"caf\xe9", "caf\ufffd"), (b"a\nb", r"a\nb"), (b"a\x1b[2J", r"a\x1b[2J"), (b"a) R 1", "a) R 1")],
)
def test_name_of_a_program_may_be_any_bytes(name: bytes, shown: str) -> None:
    with asked_by("0.0.0.0", "127.0.0.1", name) as (here, there, _, pid):
        found = find_peer(here, there)
        assert identify(pid) is not None
    assert found is not None
    assert (found.pid, found.name) == (pid, shown)


@pytest.mark.parametrize("listens", ["127.0.0.1", "::1", "127.0.0.2"])
def test_program_on_loopback_does_not_listen_for_other_machines(listens: str) -> None:
    with asked_by(listens) as (here, there, _, pid):
        found = find_peer(here, there)
    assert found is not None
    assert (found.pid, found.listens) == (pid, ())


def test_missing_connection_has_no_owner() -> None:
    assert find_peer(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@pytest.mark.parametrize(
    ("uid", "ours", "service"),
    [
        (33, 4711, True),
        (0, 4711, False),
        (1000, 4711, False),
        (65534, 4711, False),
        # The hub runs as a service itself, and so does what asks.
        (33, 33, False),
    ],
)
def test_process_that_cant_be_examined_is_known_by_its_user_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, ours: int, service: bool
) -> None:
    row = "0: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 {} 0 4242 1"
    table = tmp_path / "tcp"
    table.write_text(f"sl local\n{row.format(uid)}\n")
    monkeypatch.setattr(peer_module, "_TABLES", (str(table), "/nowhere"))
    monkeypatch.setattr(peer_module, "_list_inodes", lambda pid: set())
    monkeypatch.setattr(os, "geteuid", lambda: ours)
    found = find_peer(("127.0.0.1", 8080), ("127.0.0.1", 50000))
    assert found is not None
    assert (found.pid, found.name, found.listens, found.service) == (None, "", (), service)


def test_ipv4_on_an_ipv6_socket_is_ipv4(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mapped = "0000000000000000FFFF00000100007F"
    table = tmp_path / "tcp6"
    table.write_text(f"sl local\n0: {mapped}:C350 {mapped}:1F90 01 0:0 0:0 0 33 0 4242 1\n")
    monkeypatch.setattr(peer_module, "_TABLES", (str(table),))
    assert find_peer(("127.0.0.1", 8080), ("127.0.0.1", 50000)) is not None
