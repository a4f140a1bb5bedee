from datetime import UTC, datetime

import pytest

from lkhub.checks.connections import check_connections
from lkhub.checks.kernel import check_kernel
from lkhub.checks.limits import more_files
from lkhub.checks.relay import check_relay
from lkhub.findings.finding import Finding
from lkhub.hub.status import HubStatus
from lkhub.plan.host import KernelLimits, RunsIn
from tests.checks.test_connections import told
from tests.checks.test_relay import ports
from tests.reports import hub_report, relay_status

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)

# What the hub runs in, the commands, and a part of the other texts.
WAYS = [
    (RunsIn(), ["ulimit -Hn 65536", "lkhub down && lkhub up --detach"], "LimitNOFILE=65536; if a container: --ulimit"),
    # Only root may raise a hard limit, so `ulimit -Hn` would change nothing.
    (
        RunsIn(is_root=False),
        ["sudo prlimit --pid $$ --nofile=65536", "lkhub down && lkhub up --detach"],
        "--ulimit nofile=65536:65536",
    ),
    (RunsIn("hub.service"), ["sudo systemctl edit hub.service", "sudo systemctl restart hub.service"], "LimitNOFILE"),
    (
        RunsIn("hub.service", user_unit=True, is_root=False),
        ["systemctl --user edit hub.service", "systemctl --user restart hub.service"],
        "LimitNOFILE=65536 below [Service]",
    ),
    (RunsIn(container=True), [], "--ulimit nofile=65536:65536"),
]


@pytest.mark.parametrize(("runs_in", "commands", "said"), WAYS)
def test_limit_is_raised_in_what_started_the_hub(runs_in: RunsIn, commands: list[str], said: str) -> None:
    fixes = more_files(runs_in)
    assert [fix.command for fix in fixes if fix.command] == commands
    assert said in " ".join(fix.text for fix in fixes)
    known = bool(runs_in.unit or runs_in.container)
    assert ("ulimit -Hn" in str(fixes)) is (not known and runs_in.is_root)


@pytest.mark.parametrize(("runs_in", "commands", "said"), WAYS)
def test_every_finding_of_open_files_names_the_remedy(runs_in: RunsIn, commands: list[str], said: str) -> None:
    failure = {"at": NOW.timestamp() - 1, "error": "too many open files"}
    refusal = {"at": NOW.timestamp() - 1, "client": "198.51.100.7", "held": 1, "full": True}
    found: list[Finding] = [
        *check_kernel(KernelLimits(open_files=1024), runs_in),
        *check_connections(told("edge", "", failure=failure), NOW, runs_in),
        *check_connections(told("edge", "", refusal=refusal), NOW, runs_in),
        *check_connections(told("edge", "", refusal=refusal | {"full": False}), NOW, runs_in),
        *check_relay(relay_status(ports=ports(880, size=900)), None, "acme", NOW, runs_in),
    ]
    assert [finding.code for finding in found] == [
        *("open-files-few", "accept-fails", "connections-refused", "connections-refused", "relay-nearly-full")
    ]
    for finding in found:
        assert set(more_files(runs_in)) <= set(finding.fix), finding.code


def test_what_the_hub_runs_in_reaches_the_findings() -> None:
    supervisor = {"processes": [{"name": "media", "state": "running", "since": 1.0, "roles": []}]}
    runs_in = RunsIn("hub.service")
    status = HubStatus(None, hub_report(supervisor), (), None, limits=KernelLimits(open_files=1024), runs_in=runs_in)
    assert [finding.fix for finding in status.find(NOW)] == [more_files(runs_in)]


def test_command_shows_the_limit_of_the_process() -> None:
    failure = {"at": NOW.timestamp() - 1, "error": "too many open files"}
    processes = {"processes": [{"name": "edge", "pid": 4711}]}
    [finding] = check_connections(told("edge", "", failure=failure, **processes), NOW)
    assert finding.fix[0].command == "grep 'open files' /proc/4711/limits"
