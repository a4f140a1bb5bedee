"""A name server that takes seconds to answer while a hub is changed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lkhub.host.control import ask
from lkhub.wire.control import ApplyRequest, StatusRequest
from tests.kit.hub import make_hub
from tests.kit.netns import Namespace, connect, namespace
from tests.namespaces.lan import PORTS
from tests.waiting import wait_until

DOMAIN = "rtc.example.com"

# Answers every question for an IPv4 address with 1.2.3.4, as late as the file says; a line for each question.
_SERVER = """
import socket, sys, threading
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
def answer(asked, sender):
    end = asked.index(b"\\0", 12) + 5
    is_ipv4 = asked[end - 4 : end - 2] == b"\\0\\1"
    head = asked[:2] + b"\\x81\\x80\\0\\1" + (b"\\0\\1" if is_ipv4 else b"\\0\\0") + bytes(4)
    record = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4\\1\\2\\3\\4" if is_ipv4 else b""
    server.sendto(head + asked[12:end] + record, sender)
print("ready", flush=True)
while True:
    asked, sender = server.recvfrom(1500)
    print("asked", flush=True)
    threading.Timer(float(open(sys.argv[1]).read()), answer, (asked, sender)).start()
"""


@contextmanager
def naming(machine: Namespace, delay: Path) -> Iterator[list[str]]:
    """The machine's name server; what it says."""
    argv = [*machine.prefix, sys.executable, "-c", _SERVER, str(delay)]
    said: list[str] = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            reader = threading.Thread(target=lambda lines=server.stdout: said.extend(lines), daemon=True)
            reader.start()
            wait_until(lambda: said, "the name server is ready")
            yield said
        finally:
            server.kill()


@pytest.mark.field
def test_media_that_dies_while_a_name_server_is_slow_is_back_before_it_answers(tmp_path: Path) -> None:
    delay = tmp_path / "delay"
    delay.write_text("0")
    with (
        namespace("router") as router,
        namespace("machine", "127.0.0.1") as machine,
        make_hub(machine.prefix, PORTS) as hub,
    ):
        own = Path("/etc/netns", machine.name, "resolv.conf")
        own.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
        connect(machine, router, "eth0")
        machine.add_address("eth0", "192.168.1.5/24")
        machine.add_default_route("192.168.1.1")
        with naming(machine, delay) as said:
            hub.spec.write_text(f"reach: public\ndomain: {DOMAIN}\ntls: {{mode: internal, listen: 7443, http: off}}\n")
            hub.up("--no-verify")
            control, before = str(hub.state / "run/control.sock"), hub.pids()["media"]
            delay.write_text("4")
            said.clear()
            changing = threading.Thread(target=lambda: ask(control, ApplyRequest(str(hub.spec), {})), daemon=True)
            changing.start()
            wait_until(lambda: "asked\n" in said, "the supervisor asks for its name")
            os.kill(before, signal.SIGKILL)

            def is_back() -> bool:
                [media] = [each for each in ask(control, StatusRequest()).processes if each.name == "media"]
                return bool(media.state == "running" and media.pid != before)

            wait_until(is_back, "media is there again")
            assert changing.is_alive(), "the name server has not answered yet"
            changing.join(30)
            assert not changing.is_alive()
