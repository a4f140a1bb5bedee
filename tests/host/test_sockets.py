"""What is seen of other processes."""

import socket
import subprocess
import sys

from lkhub.host.sockets import Sockets, is_installing, read_command, read_sockets
from tests.waiting import wait_until


def test_without_a_process_nothing_is_seen() -> None:
    """psutil takes no pid for that of the process that asks."""
    with socket.create_server(("", 0)):
        assert (read_sockets(None), read_command(None), is_installing(None)) == (Sockets(), (), False)


def test_agent_is_installed_until_another_program_takes_the_place_of_ours() -> None:
    become = "import os, sys; sys.stdin.read(1); os.execv(sys.executable, [sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", become, "run-agent"], stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert is_installing(process.pid)
        process.stdin.write("x")
        process.stdin.flush()
        wait_until(lambda: not is_installing(process.pid), "the agent itself")
        process.kill()
