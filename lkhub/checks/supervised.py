"""Turns what the supervisor reports of itself and of its processes into findings. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from shlex import quote

from lkhub.errors import READ_ONLY
from lkhub.findings.catalogue.certificates import certificate_not_taken
from lkhub.findings.catalogue.hub import (
    linger_off,
    no_hub_here,
    no_record,
    no_systemd,
    process_hangs,
    selinux_denies,
    state_removed,
    watch_fails,
)
from lkhub.findings.finding import Finding, Fix, Ref
from lkhub.wire.control import Removal, WatcherFailure


def check_watchers(failures: Mapping[str, WatcherFailure]) -> Iterator[Finding]:
    """A finding for each watcher that fails. `failures` has them by what the watcher can't do."""
    for what, failure in failures.items():
        since = datetime.fromtimestamp(failure.since, UTC)
        yield watch_fails(what).about(
            what,
            detail=f"since {since:%Y-%m-%d %H:%M %Z}: {failure.detail}",
            fix=(Fix("read the supervisor's log", "lkhub logs hub"),),
        )


def check_known(unknown: str, of_machine: str) -> Iterator[Finding]:
    """A finding where no hub is known in the state directory. `unknown`: what shows that; "" where a hub is known.
    `of_machine`: the command that shows the hub which is the machine's service; "" where none is, or it is this one."""
    if unknown:
        yield no_hub_here().about(
            "hub",
            detail=unknown,
            fix=(
                *([Fix("see the hub that is this machine's service", of_machine)] if of_machine else []),
                Fix("if you mean a hub with another state directory, name that: --state DIR, or LKHUB_STATE"),
                Fix("start a hub here", "lkhub up"),
            ),
        )


def check_linger(logged_in: str) -> Iterator[Finding]:
    """A finding where the hub ends with the last login of the user `logged_in`; "" where it does not."""
    if logged_in:
        fix = Fix("let it start with the machine", f"sudo loginctl enable-linger {logged_in}")
        yield linger_off().about("hub", detail=f"{logged_in} may not linger", fix=(fix,))


def check_started(*, without_systemd: bool) -> Iterator[Finding]:
    """A finding where the hub runs on a machine without systemd."""
    if without_systemd:
        yield no_systemd().about("hub", fix=(Fix("see what other systems can take", "lkhub render --help"),))


def check_selinux(denied: Iterable[tuple[str, str]], programs: str, control: str) -> Iterator[Finding]:
    """A finding for each path of the service's program that SELinux keeps from systemd, with the path's label.
    `programs` is the folder with all of them, and `control` how its user calls systemctl."""
    for path, label in denied:
        yield selinux_denies(path).about(
            path,
            detail=f"its label is {label}",
            fix=(
                Fix("give it the label of its place", f"sudo restorecon -RF {quote(_find_top(path, programs))}"),
                Fix("then start the hub", f"sudo {control} restart lkhub"),
            ),
        )


def _find_top(path: str, programs: str) -> str:
    return programs if path.startswith(f"{programs}/") else path


def check_records(unrecorded: Mapping[str, str], codes: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for each process whose record can't be written. By the process's name: `unrecorded` says why, and
    `codes` has the reason codes."""
    for name, reason in unrecorded.items():
        fix = Fix("see whether the disk is full", "df -h")
        if codes.get(name) == READ_ONLY:
            fix = Fix("see what is mounted read-only, as after an error of the disk (`dmesg`)", "findmnt -O ro")
        yield no_record(name).about(name, detail=reason, fix=(fix,))


def check_taken(refused: Mapping[str, str], faults: Sequence[Ref] = ()) -> Iterator[Finding]:
    """A finding where the operator's certificate was replaced, and a process goes on with the earlier one. `refused`:
    why, by the process's name. `faults`: the errors in the certificate's files."""
    for name, reason in refused.items():
        yield certificate_not_taken().about(
            name,
            detail=reason,
            fix=(
                Fix("see what is wrong with the files", "lkhub up"),
                Fix("put both files in place; the hub takes them over by itself within seconds"),
            ),
            depends_on=faults,
        )


def check_hanging(hangs: Mapping[str, str], stopped_pids: Mapping[str, int | None]) -> Iterator[Finding]:
    """A finding for each process that runs and does not answer. By the process's name: `hangs` says what shows that,
    and `stopped_pids` has the pid of each process that a signal has stopped."""
    for name, evidence in hangs.items():
        stopped = stopped_pids.get(name)
        yield process_hangs(name, stopped=bool(stopped)).about(
            name,
            detail=evidence,
            fix=(
                *((Fix("let it go on", f"kill -CONT {stopped}"),) if stopped else ()),
                *(() if stopped else (Fix("see whether the machine is too busy", "top"),)),
                Fix("start it again; people in a call reconnect", f"lkhub restart {name}"),
            ),
        )


def check_removed(removed: Removal | None) -> Iterator[Finding]:
    """A finding where the state directory was removed while the hub ran."""
    if removed is None:
        return
    at = datetime.fromtimestamp(removed.at, UTC)
    names = ", ".join(removed.logs)
    lost = [
        "the logs up to then",
        *([f"what {names} have written to their logs since"] if names else []),
        "the edge's certificates from public issuers",
        *filter(None, [removed.lost]),
    ]
    yield state_removed().about(
        "hub",
        detail=f"at {at:%Y-%m-%d %H:%M:%S %Z}; not there any more: {'; '.join(lost)}",
        fix=(Fix("start the processes again, which ends this; people in a call reconnect", "lkhub restart"),),
    )
