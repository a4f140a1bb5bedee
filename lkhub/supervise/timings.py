"""How long the supervisor waits, and how often it looks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """Seconds, each with its reason. The values are those of a hub; tests have shorter ones."""

    # Media is ready in 0.1 s here; a small board under load takes a few seconds. What is not ready by then has never
    # served anybody, and is ended and started again. What has served is told about where it hangs, and never ended by
    # itself: it may go on, and its calls with it.
    ready: float = 30.0

    # A supervisor that was stopped itself (Ctrl-Z) comes to a deadline this much later, or more. What it waited for may
    # have been ready long ago, and have served since: it has its time anew.
    away: float = 1.0

    # Of a process that is taken over it is not known whether it has served. One that is well answers in milliseconds,
    # and within this where the machine is busy.
    answer: float = 5.0

    # A command reads what it asked for. One that doesn't (Ctrl-Z) must not keep the supervisor from ending.
    send: float = 5.0

    # What a process that is ready may take to say how it is. One that is well answers in milliseconds.
    status: float = 2.0

    # An answer at a URL does not say which process it is of. Where it can't be seen that the process listens there,
    # since a script has started the server in a container, for one, the answer is believed after this long. A process
    # whose port is taken has ended by then.
    believed: float = 5.0

    # Before a process whose watching failed by a bug is watched again.
    watch_again: float = 1.0

    # The first restart is at once: whoever is in a call hears the gap. What keeps failing is tried less and less often,
    # but never less than twice a minute: the cause (a full disk, a lost address) may go away.
    restart_first: float = 0.2
    restart_ceiling: float = 30.0

    # After the drain limit a process stops by itself; this is what it may take beyond that.
    stop_grace: float = 5.0

    # Two signals sent at once arrive as one; what needs no second one ends within this.
    second_signal: float = 0.2

    # The process that knows the participants answers in milliseconds. One that does not within this can't be asked now.
    participants: float = 3.0

    # So long after media was another one, an empty hub may be one whose people are on their way back: the last of 60
    # was back after 22 s (measured).
    rejoin: float = 30.0

    # How often a change that waits looks whether the hub is empty, and logs, records and the control socket are looked
    # at.
    tick: float = 2.0

    # Media and the relay remember the clients that they have seen for as long as they live; asking costs a few
    # milliseconds.
    outside: float = 10.0

    # A machine that is busy for a moment is no reason to alarm anybody.
    hanging: float = 5.0
    hanging_patience: float = 12.0

    # A look at the interfaces costs a millisecond. Clients notice a lost address after a few seconds too. What others
    # say (name servers, a STUN server) is asked for as often as a dynamic DNS record usually lives.
    addresses: float = 3.0
    addresses_of_others: float = 60.0

    # A look is two calls of stat. What was refused may be taken later without a change of the file: a folder on the
    # way was closed.
    certificates: float = 2.0
    certificates_again: float = 60.0

    # A look reads one small file, and where there is one asks the kernel for this machine's address. One that moved is
    # noticed within this.
    router: float = 10.0

    # A router that was restarted has lost its mappings, and tells nobody. One that still has them takes being asked
    # again for a longer lease: one message a mapping with PCP, two with UPnP. The engine takes 40 ms of CPU time
    # for it. Another router in place of this one is noticed within this, too.
    router_ask: float = 120.0

    # A router takes a minute or two to start again. One that refuses for an hour won't change its mind within seconds,
    # and UPnP may ask the whole network: no more often than where all is well.
    router_first: float = 30.0
    router_ceiling: float = 120.0

    # A cause that keeps a watcher from its work is looked at less often, and never given up: an interface may come
    # back, a disk be freed.
    guard_first: float = 0.5
    guard_ceiling: float = 60.0


USUAL = Timings()
