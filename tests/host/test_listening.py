"""Taking over a socket that another process listens with."""

import socket
import subprocess
import sys

import pytest

from lkhub.host.listening import take_listener

LISTENS = """
import socket, sys
made = socket.create_server(("127.0.0.1", 0))
print(made.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd_getfd is Linux's")
def test_socket_stays_open_after_the_end_of_its_process() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin
        assert process.stdout
        port = int(process.stdout.readline())
        assert take_listener(process.pid, "127.0.0.2", port) is None
        taken = take_listener(process.pid, "127.0.0.1", port)
        process.stdin.close()
    assert taken
    with taken, socket.create_connection(("127.0.0.1", port), 5):
        taken.settimeout(5)
        taken.accept()[0].close()
    assert take_listener(process.pid, "127.0.0.1", port) is None
