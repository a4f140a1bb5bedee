"""Turns limits of the kernel into findings. Pure."""

from collections.abc import Iterator

from lkhub.checks.limits import UNKNOWN, more_files
from lkhub.findings.catalogue.limits import conntrack_full, open_files_few, udp_buffer_small
from lkhub.findings.finding import Finding, Fix
from lkhub.plan.host import KernelLimits, RunsIn

# livekit-server warns where getsockopt(2) reports less than 5,000,000 bytes (mediatransportutil, rtcconfig). The sysctl
# has half of that number (socket(7), SO_RCVBUF).
BUFFER_BYTES = 2_500_000

# A participant takes a few file descriptors, for ICE over TCP and at the edge too; 4,096 are enough for some hundred
# people.
OPEN_FILES = 4096

# Above this share of the table, the kernel will soon drop the packets of all new connections on the machine.
CONNECTIONS_SHARE = 0.8


def check_kernel(limits: KernelLimits, runs_in: RunsIn = UNKNOWN) -> Iterator[Finding]:
    """A finding for each limit that is too low for calls of more than a few people."""
    small = {
        name: value
        for name, value in (("rmem_max", limits.receive_buffer), ("wmem_max", limits.send_buffer))
        if value is not None and value < BUFFER_BYTES
    }
    if small:
        settings = " ".join(f"net.core.{name}={BUFFER_BYTES}" for name in small)
        yield udp_buffer_small().about(
            "media",
            detail=", ".join(f"net.core.{name} is {value}" for name, value in small.items()),
            fix=(
                Fix("raise them now", f"sudo sysctl -w {settings}"),
                Fix("and keep them after a reboot", _keep(settings)),
                Fix("let media open its sockets anew", "lkhub restart media"),
            ),
        )
    if limits.open_files is not None and limits.open_files < OPEN_FILES:
        yield open_files_few().about(
            "hub", detail=f"at most {limits.open_files} in one process", fix=more_files(runs_in)
        )
    if limits.connections and limits.connections_max:
        share = limits.connections / limits.connections_max
        if share > CONNECTIONS_SHARE:
            setting = f"net.netfilter.nf_conntrack_max={limits.connections_max * 4}"
            yield conntrack_full().about(
                "hub",
                severity="error" if share > 0.98 else "warning",
                detail=f"{limits.connections} of {limits.connections_max} entries",
                fix=(
                    Fix("enlarge it now", f"sudo sysctl -w {setting}"),
                    Fix("and keep it after a reboot", _keep(setting)),
                ),
            )


def _keep(settings: str) -> str:
    return f"printf '%s\\n' {settings} | sudo tee /etc/sysctl.d/60-lkhub.conf"
