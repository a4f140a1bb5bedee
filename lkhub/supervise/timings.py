"""How long the supervisor waits, and how often its watchers check."""

from dataclasses import dataclass

from lkhub.host.lock import LOCK_SECONDS
from lkhub.supervise.backoff import SETTLED_SECONDS


@dataclass(frozen=True)
class Timings:
    """Seconds, each with its reason. The values are those of a hub; tests have shorter ones."""

    # How long the lock of the state directory is waited for: the supervisor before may still be leaving.
    lock: float = LOCK_SECONDS

    # Media was ready in 0.1 s (measured); a small board under load takes a few seconds. A process that is not ready
    # within this has served no client, and is killed and started again. A process that was ready and then hangs is
    # reported, but the supervisor does not end it: it may go on, and its calls with it.
    ready: float = 30.0

    # A supervisor that was stopped itself (Ctrl-Z) passes a deadline late, by this much or more. The process that it
    # waited for may have been ready long ago and have served since, so the deadline starts anew.
    away: float = 1.0

    # How long a process that is taken over may take to answer. A healthy process answers in milliseconds, and within
    # this on a busy machine.
    answer: float = 5.0

    # How long a request may take to arrive. A command sends it at once; a program that never does must not hold its
    # connection for ever.
    request: float = 5.0

    # How long an answer may take to be sent. A command that does not read it (Ctrl-Z) must not keep the supervisor from
    # ending.
    send: float = 5.0

    # How long a process that is ready may take to give its status. A healthy process answers in milliseconds.
    status: float = 2.0

    # An answer at a URL does not say which process gave it. If the supervisor can't see that the process listens there,
    # for example because a script has started the server in a container, it believes the answer after this long. A
    # process whose port is taken has ended by then.
    believed: float = 5.0

    # The wait before a process is watched again after watching it has failed.
    watch_again: float = 1.0

    # The first restart is immediate, since participants hear the gap. A process that keeps failing is tried less and
    # less often, but at least twice a minute: the cause (a full disk, a lost address) may go away.
    restart_first: float = 0.2
    restart_ceiling: float = 30.0

    # From when on a process counts as well that does not show when it is ready.
    settled: float = SETTLED_SECONDS

    # After the drain limit a process stops by itself; it may take this much longer.
    stop_grace: float = 5.0

    # How often media is asked whether the successor of an agent has registered. An answer takes a few milliseconds.
    successor: float = 0.5

    # Two signals sent at once arrive as one. A process that needs no second signal ends within this.
    second_signal: float = 0.2

    # The process that knows the participants answers in milliseconds. After this long it counts as unable to answer.
    participants: float = 3.0

    # For this long after media was replaced, the participants of an empty hub may still be reconnecting: the last of 60
    # was back after 22 s (measured).
    rejoin: float = 30.0

    # How often the supervisor checks whether the hub is empty for a pending change, and checks logs, records and the
    # control socket.
    tick: float = 2.0

    # How often processes are asked which clients they have seen. They remember them for as long as they run; asking
    # costs a few milliseconds.
    outside: float = 10.0

    # How often processes are asked whether they answer, and how long one may be silent: a machine may be busy for a
    # moment.
    hanging: float = 5.0
    hanging_patience: float = 12.0

    # Reading the interfaces costs a millisecond. Clients notice a lost address after a few seconds too. Name servers
    # and a STUN server are asked as often as a dynamic DNS record usually expires.
    addresses: float = 3.0
    addresses_look_up: float = 60.0

    # A check is two calls of stat. A file that was refused may be accepted later without a change: a folder above it
    # may not have been accessible.
    certificates: float = 2.0
    certificates_again: float = 60.0

    # A check reads one small file and, if there is one, asks the kernel for this machine's address. A changed address
    # is noticed within this.
    router: float = 10.0

    # A router that was restarted has lost its mappings, and does not say so. A router that still has them only renews
    # their lease: one message a mapping with PCP, two with UPnP. The engine takes 40 ms of CPU time for it. A new
    # router in place of the old one is noticed within this, too.
    router_ask: float = 120.0

    # A router takes a minute or two to start again. A router that has refused for an hour will not accept within
    # seconds, and UPnP may ask the whole network, so the longest wait is the usual time between renewals.
    router_first: float = 30.0
    router_ceiling: float = 120.0

    # A watcher that fails tries again less and less often, and never gives up: an interface may come back, a full disk
    # may be freed.
    guard_first: float = 0.5
    guard_ceiling: float = 60.0


USUAL = Timings()
