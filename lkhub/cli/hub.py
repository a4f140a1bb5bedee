"""What commands know of the hub in a state directory: its record, its processes, its last verification."""

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lkhub.cli.options import find_paths
from lkhub.errors import HubError, InputError, MachineError
from lkhub.health.status import HubStatus, Verified
from lkhub.host.files import read_input, read_text, write_private
from lkhub.host.kernel import read_limits
from lkhub.host.processes import is_alive
from lkhub.plan.facts import KernelLimits
from lkhub.plan.model import PROCESS_NAMES
from lkhub.plan.paths import StatePaths
from lkhub.prepare import digest
from lkhub.supervise.child import Identity
from lkhub.supervise.control import NotRunningError, ask
from lkhub.supervise.supervisor import load_applied

# ACME servers prove a name and sign within a few seconds; ZeroSSL takes up to half a minute.
CERTIFICATE_SECONDS = 60.0
LOOK_SECONDS = 0.25


def find_hub(spec: Path | None, state: Path | None) -> StatePaths:
    """The hub's state directory. InputError where a spec is given, and the hub runs by another."""
    paths = find_paths(state)
    applied = load_applied(paths)
    if spec is None or applied is None or applied["spec"] == str(spec.absolute()):
        return paths
    running = applied["spec"] or "no spec"
    raise InputError(
        f"the hub in {paths.root} runs by {running}, not by {spec}",
        hints=(f"`lkhub up --spec {spec}` makes it run by that", "--state names the directory of another hub"),
    )


def read_status(paths: StatePaths) -> HubStatus:
    """Everything known about the hub. Changes nothing; a hub that never ran is `stopped`."""
    supervisor = None
    with contextlib.suppress(NotRunningError):
        supervisor = ask(paths.control, "status")
    left = () if supervisor else tuple(_find_left(paths))
    applied = load_applied(paths)
    limits = _read_limits(applied, supervisor)
    return HubStatus(applied, supervisor, left, read_verified(paths), limits, _is_edited(supervisor or {}))


def _is_edited(supervisor: Mapping[str, Any]) -> bool:
    """Whether the spec says something else than when it was applied. One that can't be read says nothing."""
    with contextlib.suppress(HubError):
        if path := supervisor.get("spec"):
            return bool(digest(read_input(path)) != supervisor["digest"])
    return False


def _read_limits(applied: Mapping[str, Any] | None, supervisor: Mapping[str, Any] | None) -> KernelLimits:
    """Limits that hold for media. A hub for this machine alone carries no crowd."""
    pids = [process["pid"] for process in (supervisor or {}).get("processes", ()) if process["name"] == "media"]
    if not pids or not pids[0] or (applied or {}).get("reach", "local") == "local":
        return KernelLimits()
    return read_limits(pids[0])


def wait_for_certificates(paths: StatePaths) -> None:
    """Return when the edge has a certificate, or a failure, for each name that it asks one for; after a while anyway.

    An authority takes seconds to make one, and a call before that proves nothing.
    """
    missing = set(require_applied(paths)["certified"])
    deadline = time.monotonic() + CERTIFICATE_SECONDS
    while missing and time.monotonic() < deadline:
        with contextlib.suppress(NotRunningError):
            edge = ask(paths.control, "status")["edge"] or {}
            for certificate in edge.get("certificates", ()):
                missing -= set(certificate["names"])
            missing -= {failure["name"] for failure in edge.get("failures", ())}
        if missing:
            time.sleep(LOOK_SECONDS)


def is_running(paths: StatePaths) -> bool:
    """Whether a supervisor answers."""
    try:
        ask(paths.control, "status")
    except NotRunningError:
        return False
    return True


def read_verified(paths: StatePaths) -> Verified | None:
    """The last verification, None before the first and where the record can't be read."""
    try:
        text = read_text(paths.verified)
        return Verified.parse(text) if text else None
    except (ValueError, MachineError):
        return None


def write_verified(paths: StatePaths, verified: Verified) -> None:
    write_private(paths.verified, json.dumps(verified.as_json(), indent=2) + "\n")


def require_applied(paths: StatePaths) -> dict[str, Any]:
    """The record of what is in force. MachineError before the first `up`."""
    applied = load_applied(paths)
    if applied is None:
        raise MachineError("this hub has not been up yet", hints=("`lkhub up` starts it",))
    return applied


def _find_left(paths: StatePaths) -> list[dict[str, Any]]:
    """Processes that an earlier supervisor left running."""
    found = []
    for name in PROCESS_NAMES:
        with contextlib.suppress(ValueError, MachineError):
            text = read_text(paths.record(name))
            identity = Identity.parse(text) if text else None
            if identity and is_alive(identity.process):
                row = {"name": name, "pid": identity.process.pid, "state": "running", "since": identity.since}
                found.append({**row, "restarts": 0})
    return found
