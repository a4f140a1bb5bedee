from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.checks.kernel import check_kernel
from lkhub.host.kernel import read_limits
from lkhub.plan.host import KernelLimits

GOOD = KernelLimits(
    receive_buffer=2_500_000, send_buffer=16_777_216, open_files=4096, connections=10, connections_max=65536
)


def test_limits_that_are_high_enough_are_no_finding() -> None:
    assert list(check_kernel(GOOD)) == []


def test_unknown_limits_are_no_finding() -> None:
    assert list(check_kernel(KernelLimits())) == []


@pytest.mark.parametrize(
    ("limits", "code", "command"),
    [
        (replace(GOOD, receive_buffer=212_992), "udp-buffer-small", "sudo sysctl -w net.core.rmem_max=2500000"),
        (replace(GOOD, send_buffer=212_992), "udp-buffer-small", "sudo sysctl -w net.core.wmem_max=2500000"),
        (replace(GOOD, open_files=1024), "open-files-few", "ulimit -Hn 65536"),
        (replace(GOOD, connections=60_000), "conntrack-full", "sudo sysctl -w net.netfilter.nf_conntrack_max=262144"),
    ],
)
def test_low_limit_has_its_command(limits: KernelLimits, code: str, command: str) -> None:
    [finding] = check_kernel(limits)
    assert (finding.code, finding.severity) == (code, "warning")
    assert command in [fix.command for fix in finding.fix]


def test_both_buffers_are_one_finding_with_one_command() -> None:
    [finding] = check_kernel(replace(GOOD, receive_buffer=1, send_buffer=2))
    assert finding.detail == "net.core.rmem_max is 1, net.core.wmem_max is 2"
    assert finding.fix[0].command == "sudo sysctl -w net.core.rmem_max=2500000 net.core.wmem_max=2500000"
    assert finding.fix[1].command == (
        "printf '%s\\n' net.core.rmem_max=2500000 net.core.wmem_max=2500000 | sudo tee /etc/sysctl.d/60-lkhub.conf"
    )


def test_full_table_is_an_error() -> None:
    [finding] = check_kernel(replace(GOOD, connections=65_500))
    assert finding.severity == "error"


def test_limits_are_read(tmp_path: Path) -> None:
    for name, text in {
        "sys/net/core/rmem_max": "212992\n",
        "sys/net/core/wmem_max": "212992\n",
        "sys/net/netfilter/nf_conntrack_max": "65536\n",
        "7/limits": "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max open files            1024                 524288               files     \n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert read_limits(7, tmp_path) == KernelLimits(212_992, 212_992, 524_288, None, 65_536)
    assert read_limits(8, tmp_path).open_files is None
