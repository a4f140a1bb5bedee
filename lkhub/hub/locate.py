"""Which hub a command is about: its spec, and its state directory. Light to import: every command needs this module."""

import contextlib
import os
import shlex
from pathlib import Path

import platformdirs

from lkhub.errors import HubError, InputError
from lkhub.findings.finding import APPLY, Typed
from lkhub.host.files import user_name
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import SYSTEM, Service, user_service
from lkhub.state.applied import load_applied
from lkhub.state.restore import require_restored

DEFAULT_SPEC = "hub.yaml"


def find_spec(given: Path | None) -> str | None:
    """The spec to use: the given file, else `hub.yaml` in the current folder, else None for the defaults."""
    if given is not None:
        return str(given)
    return DEFAULT_SPEC if os.path.exists(DEFAULT_SPEC) else None


def find_state(given: Path | None) -> str:
    """The state directory, absolute."""
    chosen = given or os.environ.get("LKHUB_STATE")
    if not chosen:
        chosen = "/var/lib/lkhub" if os.geteuid() == 0 else platformdirs.user_state_dir("lkhub")
    return os.path.abspath(chosen)


def name_state(paths: StatePaths) -> str:
    """The option that makes a command about this hub: ` --state DIR`, or "" where DIR is the default."""
    return "" if find_state(None) == paths.root else f" --state {shlex.quote(paths.root)}"


def find_own_service() -> Service:
    """What `lkhub install` makes a hub: root the machine's service, another user a service of that user's own."""
    if os.geteuid() == 0:
        return SYSTEM
    home = os.path.abspath(os.path.expanduser("~"))
    return user_service(home, platformdirs.user_state_dir("lkhub"), user_name(os.geteuid()))


def find_service(paths: StatePaths) -> Service | None:
    """The service that `lkhub install` has made this hub; None where it is none."""
    known = (SYSTEM, find_own_service())
    return next((s for s in known if s.installation.state == paths.root and os.path.exists(s.unit_file)), None)


def name_for_machine(paths: StatePaths, typed: str) -> str:
    """The command that does what `lkhub TYPED` does, for the hub which is the machine's service; "" where none is, or
    it is this one."""
    if paths.root == SYSTEM.installation.state or not os.path.exists(SYSTEM.unit_file):
        return ""
    if os.geteuid() == 0:
        return f"lkhub {typed} --state {SYSTEM.installation.state}"
    return f"sudo {SYSTEM.command} {typed}"


def find_typed(paths: StatePaths, spec: str | None = None) -> Typed:
    """How commands about this hub are typed. `spec`: the one that is meant; None for that by which the hub runs."""
    return Typed(name_state(paths), name_apply(paths), _name_spec(paths, spec))


def _name_spec(paths: StatePaths, spec: str | None) -> str:
    """The option with which `lkhub up` takes this spec, as ` --spec FILE`; "" where it does so without it, or where the
    spec is not known. In another folder it would take the one there, or none."""
    if spec is None:
        with contextlib.suppress(HubError):
            applied = load_applied(paths)
            spec = applied.spec if applied else None
    if spec is None or _is_here(spec):
        return ""
    return " --dev" if spec == paths.dev_spec else f" --spec {shlex.quote(spec)}"


def _is_here(spec: str) -> bool:
    """Whether `lkhub up` takes this spec from the current folder."""
    try:
        return os.path.abspath(spec) == os.path.abspath(DEFAULT_SPEC)
    except FileNotFoundError:  # the folder was removed
        return False


def name_apply(paths: StatePaths) -> str:
    """The command that applies a spec to this hub."""
    service = find_service(paths)
    return APPLY if service is None else f"{name_command(service)} install"


def name_command(service: Service) -> str:
    """How commands about this service begin. The PATH that sudo sets need not lead to the service's command."""
    return "lkhub" if service.of_user or os.geteuid() == 0 else f"sudo {service.command}"


def find_paths(given: Path | None) -> StatePaths:
    return StatePaths(find_state(given))


def find_hub(spec: Path | None, state: Path | None) -> StatePaths:
    """The hub's state directory. InputError where a spec is given and the hub runs by another spec; MachineError where
    a restore has not ended."""
    paths = find_paths(state)
    require_restored(paths)
    # Without a spec, a record that can't be read must not keep a hub from being stopped.
    applied = load_applied(paths) if spec else None
    if spec is None or applied is None or applied.spec == str(spec.absolute()):
        return paths
    running = applied.spec or "no spec"
    raise InputError(
        f"the hub in {paths.root} runs by {running}, not by {spec}",
        hints=(
            f"`lkhub up --spec {shlex.quote(str(spec))}` makes it run by that",
            "--state names the directory of another hub",
        ),
    )
