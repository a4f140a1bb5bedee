"""The roles of a process, as data: what the supervisor does for it. No part of lkhub acts on a process's name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lkhub.secret import FromEnv, FromFile, Secret
from lkhub.spec.duration import Duration

EngineProgram = Literal["media", "relay", "edge"]
"""The subcommand of a program of lkhub-engine that runs as long as the hub."""

RestartPolicy = Literal["always", "on-failure"]
"""When a process that has ended is started again. `on-failure`: exit code 0 means that the process is done."""

Role = Literal["carries-calls", "knows-participants", "registers"]
"""The roles that findings need to know; messages carry them."""

# Sockets, records and logs are named after their process. The names in _TAKEN are files of the supervisor.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TAKEN = frozenset({"hub", "control", "lock", "router"})


class HeldSocket(NamedTuple):
    """A listening TCP socket that the supervisor opens and keeps, and that a process inherits. `address` "": every
    address."""

    address: str
    port: int


@dataclass(frozen=True)
class Health:
    """How a process shows that it is well: it answers on its control socket, or at a URL. With neither, it is well
    while it runs."""

    socket: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Variable:
    """A variable of a process's environment, and where its value is kept: in the file at the absolute path `file`, or
    in the variable `env` of the supervisor's environment. That value is read at each start and is in no plan and no
    record. Or it is `value`, which is no secret."""

    name: str
    file: str = ""
    env: str = ""
    value: str = ""

    def __post_init__(self) -> None:
        if [bool(self.file), bool(self.env), bool(self.value)].count(True) != 1:
            raise ValueError(f"{self.name} has its value in one place: a file, the environment, or here")

    @property
    def source(self) -> Secret | FromFile | FromEnv:
        """Where the value is kept."""
        if self.value:
            return Secret(self.value)
        return FromFile(self.file) if self.file else FromEnv(self.env)


@dataclass(frozen=True)
class Resumed:
    """A process that is told when the process `of` was replaced by a new one, so that it can resume that process's
    clients: by `POST /resume` on its control socket, with the content that `file` had for the old process."""

    of: str
    file: str


class OwnPorts(NamedTuple):
    """Ports that a process opens itself, and that no other process can have meanwhile: `start` to `end`, both
    included."""

    protocol: str
    start: int
    end: int

    def meets(self, other: "OwnPorts") -> bool:
        return self.protocol == other.protocol and self.start <= other.end and other.start <= self.end


@dataclass(frozen=True)
class Handover:
    """How a process hands over to another one of its name that runs beside it: the new one takes what begins, and the
    old one ends when its calls are over. `through` is where both find each other's rooms, and `ports` are those that it
    opens itself."""

    through: str
    ports: tuple[OwnPorts, ...]


@dataclass(frozen=True)
class Fingerprint:
    """Tells two versions of a process apart. `program` is a digest of the program, its arguments and its environment;
    `files` is a digest of its files, and `rereads` of those that it reads again, "" if it has none. Otherwise ""
    means not known, and equals no version."""

    program: str
    files: str
    rereads: str = ""

    def without_files(self) -> "Fingerprint":
        """The fingerprint of a process if it is not known which files it has read."""
        return Fingerprint(self.program, "")

    def without_rereads(self) -> "Fingerprint":
        """The fingerprint of a process if it is only not known whether it has read again what it can."""
        return Fingerprint(self.program, self.files)


UNKNOWN = Fingerprint("", "")


@dataclass(frozen=True)
class ProcessPlan:
    """One child of the supervisor, and its roles.

    How it is started: `argv`, whose program is an absolute path or a name on the PATH, in the working `folder` ("": the
    supervisor's), as `user` ("": the supervisor's own; any other needs root, and can't read `files`, which are the
    supervisor's), with the `variables` besides the supervisor's environment. `listens` are given to it as listening
    sockets, each as `--listen-fd NUMBER`. `engine`: the program of lkhub-engine that it is, "" for any other.

    When it is replaced: it reads `files` at its start, so a change of one replaces the process, unless it `reloads`:
    then it takes the change over without a restart. It always takes over a change of `rereads` so. `watched` are files
    of the operator that it reads too, and reads again when they are replaced. `restart`: see RestartPolicy. `retires`:
    it is told to end and may finish what it does beside the process that takes its place, for so many seconds; None: it
    is killed first. `handover`: see Handover; None: it can't run beside another of its name. A
    restart without a change kills it first all the same.

    What it has to do with calls: `carries_calls`: its restart interrupts participants. `knows_participants`: it can be
    asked for the participants in calls, at its control socket, or at the `health` URL of a livekit-server.
    `sees_clients`: it reports which clients on other machines it has seen. `resumes`: see Resumed. `registers`: it is
    an agent, whose worker registers with media.

    How it ends: an orderly stop ends the processes with the lowest `stop_order` first. `drain`: for how many seconds it
    then waits for participants to leave; None: it ends at once.
    """

    name: str
    argv: tuple[str, ...]
    health: Health = Health()
    engine: EngineProgram | Literal[""] = ""
    files: tuple[str, ...] = ()
    rereads: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    listens: tuple[HeldSocket, ...] = ()
    variables: tuple[Variable, ...] = ()
    folder: str = ""
    user: str = ""
    restart: RestartPolicy = "always"
    retires: int | None = None
    handover: Handover | None = None
    reloads: bool = False
    carries_calls: bool = False
    knows_participants: bool = False
    sees_clients: bool = False
    registers: bool = False
    resumes: tuple[Resumed, ...] = ()
    stop_order: int = 1
    drain: int | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            raise ValueError(f"{self.name!r} can't be the name of a process")

    @property
    def drain_limit(self) -> Duration:
        """`drain` as a duration, which has a unit when it is printed."""
        return Duration(self.drain or 0)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that findings need to know."""
        found: list[Role] = []
        if self.carries_calls:
            found.append("carries-calls")
        if self.knows_participants:
            found.append("knows-participants")
        if self.registers:
            found.append("registers")
        return tuple(found)


def are_apart(one: ProcessPlan, other: ProcessPlan) -> bool:
    """Whether processes of both plans can run at once: they have neither ports nor a control socket in common."""
    if one.handover is None or other.handover is None or one.health == other.health:
        return False
    return not any(ports.meets(others) for ports in one.handover.ports for others in other.handover.ports)


def list_only_through(restarted: Iterable[ProcessPlan]) -> tuple[str, ...]:
    """The processes through which the participants are connected that the restart interrupts. (): the restart
    interrupts all participants, since it includes the process that knows them, or it interrupts none."""
    carrying = [process for process in restarted if process.carries_calls]
    if any(process.knows_participants for process in carrying):
        return ()
    return tuple(process.name for process in carrying)
