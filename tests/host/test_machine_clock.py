import subprocess
import sys

from lkhub.host.machine_clock import MachineClock

PROGRAM = "from lkhub.host.machine_clock import MachineClock; clock = MachineClock(); print(clock.start, clock())"


def test_processes_of_one_machine_share_the_clock() -> None:
    own = MachineClock()
    before = own()
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    start, _, seconds = found.stdout.strip().rpartition(" ")
    assert start == own.start
    if own.start:
        assert before <= float(seconds) <= own()
