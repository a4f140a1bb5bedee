"""PostgreSQL on another machine, and the network between the two."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from select import select

import lkhub
from tests.kit.netns import dropping
from tests.kit.postgres import run_postgres
from tests.namespaces.lan import CLIENT, Lan
from tests.waiting import wait_until

# What leads asks now and then, and the server answers: a cut then would leave an answer that the server sends again.
LEADER = """
import sys, time
from lkhub.store.store import Store
lead = Store(sys.argv[1]).make_lead("webhooks")
while not lead.take():
    time.sleep(1)
print("leads", flush=True)
time.sleep(3600)
"""


def start(lan: Lan, url: str) -> subprocess.Popen[str]:
    environ = dict(os.environ, PYTHONPATH=str(Path(lkhub.__file__).parents[1]))
    command = [*lan.hub.prefix, sys.executable, "-c", LEADER, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)


def test_lead_of_a_machine_that_vanished_is_taken_by_the_next(lan: Lan) -> None:
    """Its connections did not end, and a server of PostgreSQL by itself asks after two hours whether they live."""
    with run_postgres(lan.client.prefix, CLIENT) as server:
        url = server.create()
        with start(lan, url) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "leads\n"
            wait_until(lambda: "ESTAB 0 0 " in " ".join(lan.client.run("ss", "-Htn").split()), "all is acknowledged")
            with dropping(lan.client, "iifname lan0"):
                first.send_signal(signal.SIGKILL)
                first.wait()
                wait_until(lambda: "5432" not in lan.hub.run("ss", "-Htn"), "the machine has forgotten its connections")
        with start(lan, url) as second:
            output = second.stdout
            assert output is not None
            try:
                wait_until(lambda: select([output], [], [], 0)[0], "the lead")
                assert output.readline() == "leads\n"
            finally:
                second.kill()
