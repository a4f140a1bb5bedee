"""What commands ask of the running supervisor, and what it answers. Times are epoch seconds.

HTTP over the Unix socket `control` of the state directory, as the engine's processes have it: `lkhub.host.control` is
the client, `lkhub.supervise.control_server` the server. A request is the JSON body of a POST, or the query of a GET, as
`/status?max_age=0`. The answer is one JSON object. With `Accept: application/x-ndjson` it is the last line of several,
and before it come lines of `Progress`. An answer that is a failure has the key `error`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lkhub.wire.engine import EdgeStatus, MediaStatus, RelayStatus
from lkhub.wire.exchange import Request


@dataclass(frozen=True)
class ProcessReport:
    """One process. `state`: starting, running, hanging, backoff, stopping, stopped or failed. `since` when. `roles`:
    what the supervisor does for it. `done`: it has ended, as it was meant to."""

    name: str
    pid: int | None
    state: str
    since: float
    restarts: int = 0
    roles: tuple[str, ...] = ()
    done: bool = False


@dataclass(frozen=True)
class Trouble:
    """Why a watcher can't do its work, and since when."""

    detail: str
    since: float


@dataclass(frozen=True)
class RouterTrouble:
    """Port mappings that could not be renewed: why, since when, and when the first of them ends. `ends` 0: they lead to
    where this machine no longer is; None: not known, as the router refuses what it had granted."""

    detail: str
    since: float
    ends: float | None


@dataclass(frozen=True)
class Removal:
    """The state directory was removed at `at`. `logs` are the processes that have written since to a log that is gone,
    `lost` is what can't be written again."""

    at: float
    logs: tuple[str, ...] = ()
    lost: str = ""


@dataclass(frozen=True)
class PendingChange:
    """What a change that waits restarts, and how many participants were in a call at the last look; None: not known.
    `ways`: the processes of which a restart cuts off only the participants that came through them; none where it is
    all."""

    restarts: tuple[str, ...]
    people: int | None
    ways: tuple[str, ...] = ()


@dataclass(frozen=True)
class HubReport:
    """What the supervisor knows. By a process's name: `failures` why it ended last, `refused` why it did not take the
    operator's files, `unrecorded` why its record can't be written and `unrecorded_codes` the reason code of that where
    there is one, `hangs` how it is seen that it does not answer, and `silent` since when; `stopped` those that a signal
    has stopped. `moved` says that this machine's address is not the one that clients are told, "" where it is; `lost`:
    it has none, and what to do about that. `spec` and `digest`: the spec's path, and the SHA-256 of its text, as it was
    applied. `troubles`: by what a watcher can't do. `media`, `edge` and `relay` are what these processes said last,
    None where there is none or where it does not say; `ages`: how many seconds ago that was, by name."""

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
    waits: PendingChange | None = None
    moved: str = ""
    lost: tuple[str, ...] | None = None
    spec: str | None = None
    digest: str | None = None
    router: RouterTrouble | None = None
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    media: MediaStatus | None = None
    edge: EdgeStatus | None = None
    relay: RelayStatus | None = None
    ages: Mapping[str, float] = field(default_factory=dict)


NOT_TOLD = HubReport(0, ())
"""Where no supervisor runs."""


@dataclass(frozen=True)
class StatusRequest(Request[HubReport]):
    """What the supervisor knows. What the processes say of themselves it has in memory; it asks them again where that
    is older than `max_age` seconds, and waits two seconds at most for it."""

    method = "GET"
    path = "/status"
    answer = HubReport

    max_age: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What an apply did: the processes that it started, or the number of people it waits for (None: it could not ask,
    so it waits as well). `cut` people lost their connection for a moment, `ways` as in PendingChange; `reloaded` are
    processes that took their change over without a restart."""

    changed: tuple[str, ...]
    pending: bool = False
    people: int | None = 0
    cut: int = 0
    reloaded: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()


@dataclass(frozen=True)
class ApplyRequest(Request[Outcome]):
    """Make the machine match the spec at this path (None: no spec), with these variables that it refers to. `now`: also
    where that interrupts calls."""

    path = "/apply"
    answer = Outcome

    spec: str | None
    environ: Mapping[str, str]
    now: bool = False


@dataclass(frozen=True)
class Restarted:
    """The processes that were restarted, and how many people were in a call; None: not known. `ways` as in
    PendingChange."""

    restarted: tuple[str, ...]
    people: int | None
    ways: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestartRequest(Request[Restarted]):
    """Restart a process, or with None all of them."""

    path = "/restart"
    answer = Restarted

    name: str | None


@dataclass(frozen=True)
class Stopped:
    """The hub has ended, and the supervisor ends."""


@dataclass(frozen=True)
class StopRequest(Request[Stopped]):
    """End the hub; with `drain` only when calls are over, or their time is."""

    path = "/stop"
    answer = Stopped

    drain: bool
