"""Requests of commands to the running supervisor, and its answers. Times are epoch seconds.

They go by HTTP over the Unix socket `run/control.sock` in the state directory; the engine's processes have such sockets
too. `lkhub.host.control` is the client, and `lkhub.supervise.control_server` is the server. A request is the JSON body
of a POST, or the query of a GET, as in `/status?max_age=0`. The answer is one JSON object. With
`Accept: application/x-ndjson`, lines of `Progress` come first, and the answer is the last line. The answer to a request
that failed has the key `error`.
"""

from collections.abc import Mapping

from msgspec import Struct, field

from lkhub.wire.agent import KeptWorker
from lkhub.wire.engine import EdgeStatus, KeyUses, MediaStatus, RelayStatus
from lkhub.wire.exchange import Request


class Uninstalled(Struct, frozen=True):
    """When a version of an agent could not be installed, and why."""

    at: float
    why: str


class ProcessReport(Struct, frozen=True):
    """One process. `state` is starting, running, hanging, backoff, stopping, stopped or failed, and `since` is when it
    began. `roles` are those of `lkhub.plan.process` that findings need. `done`: the process has ended as planned.
    `people`: how many participants are in its calls, of a process that retired; None: not known. `keys`: how the API
    keys were used, as it told last, of media that retired; None: not known. Of an agent in a unit of its own, `worker`
    and `uninstalled` are what that tells; None: it tells nothing, or there is nothing to tell."""

    name: str
    pid: int | None
    state: str
    since: float
    restarts: int = 0
    roles: tuple[str, ...] = ()
    done: bool = False
    people: int | None = None
    keys: tuple[KeyUses, ...] | None = None
    worker: KeptWorker | None = None
    uninstalled: Uninstalled | None = None


class WatcherFailure(Struct, frozen=True):
    """Why a watcher fails, and since when."""

    detail: str
    since: float


class RenewalFailure(Struct, frozen=True):
    """Why the router's port mappings could not be renewed, since when, and when the first mapping ends. `ends` is 0 if
    the mappings lead to an address that this machine no longer has, and None if it is not known, since the router
    refuses a mapping that it had granted."""

    detail: str
    since: float
    ends: float | None


class Removal(Struct, frozen=True):
    """The state directory was removed at `at`. `logs` are the processes that have since written to a deleted log, and
    `lost` says what can't be written again."""

    at: float
    logs: tuple[str, ...] = ()
    lost: str = ""


class PendingChange(Struct, frozen=True):
    """The processes that a pending change restarts, and how many people were in a call when that was last checked;
    None: not known. `only_through`: only people who are connected through these processes are interrupted; (): all
    are. `retired`: the change waits for the end of these processes (pids) alone, which an earlier change has left to
    their calls, and `people` are in those. `programs`: the rest of the change is made, and these processes alone still
    run the earlier programs. `new` are the processes that it starts in the place of none, and `gone` those that it
    ends for good. `spec` is the file that the change applies where another one is in force; "" for the defaults."""

    restarts: tuple[str, ...]
    people: int | None
    only_through: tuple[str, ...] = ()
    retired: tuple[int, ...] = ()
    programs: bool = False
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    spec: str | None = None

    def describe(self) -> str:
        """What the change will restart, start and end, for people."""
        parts = (("restart", self.restarts), ("start", self.new), ("end", self.gone))
        return ", ".join(f"{', '.join(names)} would {verb}" for verb, names in parts if names)


class HubReport(Struct, frozen=True):
    """What the supervisor knows.

    By a process's name: `failures` says why the process ended last, `refused` why it did not take the operator's files,
    `unrecorded` why its record can't be written (`unrecorded_codes` has the reason code, if there is one), `hangs` how
    the supervisor saw that the process does not answer, and `silent` since when it does not. `stopped` are the
    processes that a signal has stopped (SIGSTOP). `removed` is None while the state directory exists.

    `moved` says what has become of the hub's address, if it is not the one that clients are told, otherwise "". If that
    address is gone, `lost` says what to do; None: it only changed. `spec` is the path of the spec that was applied
    last, and `digest` the SHA-256 of its text. `watcher_failures` is by what the watcher can't do.

    `retired` are the earlier processes, beside those that took their places: they finish what they do (`stopping`),
    or do their work until their successors do (`running`).

    `media`, `edge` and `relay` are the last status of these processes; None: there is no such process, or it does not
    answer. `ages` says how many seconds ago that was, by the process's name."""

    pid: int
    processes: tuple[ProcessReport, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    unrecorded: Mapping[str, str] = field(default_factory=dict)
    unrecorded_codes: Mapping[str, str] = field(default_factory=dict)
    hangs: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[str, float] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    removed: Removal | None = None
    pending: bool = False
    pending_change: PendingChange | None = None
    moved: str = ""
    lost: tuple[str, ...] | None = None
    spec: str | None = None
    digest: str | None = None
    renewal_failure: RenewalFailure | None = None
    watcher_failures: Mapping[str, WatcherFailure] = field(default_factory=dict)
    media: MediaStatus | None = None
    edge: EdgeStatus | None = None
    relay: RelayStatus | None = None
    ages: Mapping[str, float] = field(default_factory=dict)
    retired: tuple[ProcessReport, ...] = ()


NO_REPORT = HubReport(0, ())
"""In place of a report if no supervisor runs."""


class StatusRequest(Request[HubReport], frozen=True):
    """What the supervisor knows. It has the last status of each process in memory. If one is older than `max_age`
    seconds, it asks the processes first, and waits two seconds at most for their answers."""

    method = "GET"
    path = "/status"
    answer = HubReport

    max_age: float = 1.0


class Outcome(Struct, frozen=True):
    """What an `apply` did. `changed` are the processes that it started or, if the change is `pending`, that the change
    will start; then `people` are in a call, or None if their number is not known. `cut` people lost their connection
    for a moment, `only_through` as in PendingChange. `new` are those of `changed` that take the place of none, and
    `gone` those that are no longer wanted. `reloaded` are the processes that took their change over without a restart.
    `beside` are those of `changed` that run beside the process before them, which keeps its calls. `retired`: the
    change waits only for the end of such processes (pids), which have the `people`. `later`: the spec is in force, and
    only these of `changed` wait, which still run the earlier programs."""

    changed: tuple[str, ...]
    pending: bool = False
    people: int | None = 0
    cut: int = 0
    reloaded: tuple[str, ...] = ()
    only_through: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    retired: tuple[int, ...] = ()
    later: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def restarted(self) -> tuple[str, ...]:
        """Those of `changed` that took the place of the process before them at once, or will."""
        others = (*self.beside, *self.later, *self.new, *self.gone)
        return tuple(name for name in self.changed if name not in others)

    def describe_made(self) -> str:
        """What was restarted, started and ended, for people; "" where nothing was."""
        parts = (("restarted", self.restarted), ("started", self.new), ("ended", self.gone))
        return "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts if names)

    @property
    def waiting(self) -> PendingChange:
        """The change that waits, where one does."""
        restarts = self.later or self.restarted
        new, gone = ((), ()) if self.later else (self.new, self.gone)
        return PendingChange(restarts, self.people, self.only_through, self.retired, bool(self.later), new, gone)

    def describe_uncut(self) -> list[str]:
        """What else was done, without a restart, in lines for people."""
        lines = [
            f"a new {name} takes the calls that begin; the one before keeps its own until they end"
            for name in self.beside
        ]
        if self.reloaded:
            lines.append(f"{', '.join(self.reloaded)} took its change over without a restart")
        return lines


class ApplyRequest(Request[Outcome], frozen=True):
    """Make the running processes match the spec at this path (None: no spec). `environ` has the environment variables
    that the spec refers to. `now`: even if that interrupts calls."""

    path = "/apply"
    answer = Outcome

    spec: str | None
    environ: Mapping[str, str]
    now: bool = False


class Restarted(Struct, frozen=True):
    """The processes that were restarted, and how many people were in a call; None: not known. `only_through` as in
    PendingChange."""

    restarted: tuple[str, ...]
    people: int | None
    only_through: tuple[str, ...] = ()


class RestartRequest(Request[Restarted], frozen=True):
    """Restart one process; None: all processes."""

    path = "/restart"
    answer = Restarted

    name: str | None


class KeysChanged(Struct, frozen=True):
    """The keys of the hub after a change: the `current` one, and those that are `retiring`. If the change is `pending`,
    these are the keys that it will bring, and `people` are in a call, or None if their number is not known. `cut`
    people lost their connection for a moment."""

    current: str
    retiring: tuple[str, ...]
    pending: bool = False
    people: int | None = 0
    cut: int = 0


class RotateKeysRequest(Request[KeysChanged], frozen=True):
    """Generate a key and make it the current one. `now`: even if that interrupts calls, which it does only with a
    livekit-server of the operator's."""

    path = "/keys/rotate"
    answer = KeysChanged

    now: bool = False


class RevokeKeyRequest(Request[KeysChanged], frozen=True):
    """Accept this retiring key no longer. `now` as in RotateKeysRequest."""

    path = "/keys/revoke"
    answer = KeysChanged

    key: str
    now: bool = False


class Started(Struct, frozen=True):
    """The hub is up. The supervisor that `lkhub up --detach` starts reports this, or a failure, through a pipe."""


class Stopped(Struct, frozen=True):
    """The hub has ended, and the supervisor ends."""


class StopRequest(Request[Stopped], frozen=True):
    """End the hub. With `drain`, only when no call is left, or when the time for that is over. The request is the same
    in every version, so that a hub of another version can be replaced."""

    path = "/stop"
    answer = Stopped
    in_every_version = True

    drain: bool


class LeaveRequest(Request[Stopped], frozen=True):
    """End the supervisor, and leave the processes with their calls running for the next supervisor. The request is the
    same in every version, as StopRequest."""

    path = "/leave"
    answer = Stopped
    in_every_version = True
