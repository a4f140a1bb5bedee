"""The plain text that the hub's processes exchange on their own machine."""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.kit.netns import Namespace
from tests.waiting import wait_until


@contextmanager
def overhear(machine: Namespace, packets: str) -> Iterator[Callable[[], str]]:
    """The plain text that is exchanged inside a machine."""
    argv = [*machine.prefix, "tcpdump", "-i", "lo", "-A", "-l", "-s", "0", packets]
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(argv, stdout=output, stderr=subprocess.PIPE) as dump:

        def read() -> str:
            output.seek(0)
            return output.read()

        try:
            stderr = dump.stderr
            assert stderr
            wait_until(lambda: b"listening" in stderr.readline(), "tcpdump listens")
            yield read
        finally:
            dump.terminate()


def find_head(text: str, agent: str) -> list[tuple[str, str]]:
    """The header of the request with this user agent; [] where it was not heard yet."""
    for head in re.findall(r"(?:GET|POST) \S+ HTTP/1\.1\n(.*?)\n\n", text.replace("\r", ""), re.DOTALL):
        pairs = [tuple(line.split(": ", 1)) for line in head.split("\n") if ": " in line]
        if ("User-Agent", agent) in pairs:
            return pairs
    return []
