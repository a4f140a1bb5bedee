"""Codes of limits that are used up, or soon will be: relay ports, connections, open files, buffers."""

from lkhub.findings.declare import Says, declare


@declare(
    "relay-nearly-full",
    "warning",
    error="when none was left for a participant within the last ten minutes, or none is left now",
)
def relay_nearly_full(turn: str, full: bool) -> Says:
    """Three quarters of the relay's ports for one path, TURN over UDP (`turn-udp`) or over TLS (`turn-tls`), are taken.
    The detail says how many, and which address has most of them. The subject is the path.

    **Why.** Each participant takes some ports of `turn.relay`, about six for each TURN URL, even where its call needs
    none. When less than a quarter is left, one address gets ports for no more than two participants, so that newcomers
    get some too. Where a network lets nothing but TURN through, a participant without an allocation gets no call;
    participants on other networks notice nothing.

    **What to do.** Give the relay a wider range, a dozen ports for each participant more, in `hub.yaml`. The change
    waits until nobody is in a call:

    ```yaml
    turn:
      relay: 20000-39999
    ```

    Where the detail names one address, see who comes from there. The ports of participants are free again within
    seconds after they have left. If the process may open fewer files than it has ports, the finding says that instead:
    [open-files-few](#open-files-few).
    """
    return Says(
        f"{turn} is full" if full else f"{turn} is nearly full",
        "each participant takes some relay ports, even where its call needs none; without any, people on a network "
        "that lets nothing else through get no call",
    )


@declare("relay-address-full", "warning")
def relay_address_full(address: str, turn: str) -> Says:
    """Within the last ten minutes an address was refused more relay ports, because it holds its share of them. The
    subject is the path: `turn-udp` or `turn-tls`.

    **Why.** [No address gets everything](concepts/way-in.md#the-relays-bounds), and neither do all networks of one IPv6
    /48 together. One address gets up to half of the ports that are left, which is enough for an office of fifty people
    while there are any. More people than that behind one NAT reach the bound, and so do all clients together behind a
    proxy that does not send their addresses. So does an attacker who joins over and over to use the relay up; then
    there is nothing to do, since the ports are free again once the attacker has left.

    **What to do.** A proxy in front of TURN over TLS has to send the PROXY protocol; `lkhub render proxy -o .` writes
    such a configuration for it. Otherwise give the relay a wider range:

    ```yaml
    turn:
      relay: 20000-39999
    ```
    """
    return Says(
        f"{address} gets no more ports for {turn}",
        "no address gets all ports that are left: they are enough for an office of fifty people, but not for many more "
        "behind one NAT or proxy, nor for an attacker who joins to use the relay up",
    )


@declare("udp-buffer-small", "warning")
def udp_buffer_small() -> Says:
    """The kernel's UDP buffers are too small for many people at once.

    **Why.** A key frame of video is a burst of packets. Packets that do not fit into the buffer are lost, and
    everyone's picture freezes for a moment. The detail has the values of `net.core.rmem_max` and `net.core.wmem_max`.

    **What to do.** Raise them, keep them after a reboot, and let media open its sockets anew:

    ```sh
    sudo sysctl -w net.core.rmem_max=2500000 net.core.wmem_max=2500000
    lkhub restart media
    ```
    """
    return Says(
        "the kernel's UDP buffers are too small for many people at once",
        "a burst of video is larger than the buffer, and packets that do not fit are lost",
    )


@declare("open-files-few", "warning")
def open_files_few() -> Says:
    """The hub's processes may open too few files.

    **Why.** Each participant takes some, and a participant who comes when they are used up is refused.

    **What to do.** The hub's processes inherit their limit from the program that started the hub, so raise the limit
    there and start the hub anew. The finding has the commands for what this hub was started by:

    | started by | the limit |
    |---|---|
    | a shell of root | `ulimit -Hn 65536` there, then `lkhub down` and `lkhub up` |
    | another user's shell | `sudo prlimit --pid $$ --nofile=65536` there, then `lkhub down` and `lkhub up` |
    | a systemd unit | `LimitNOFILE=65536` below `[Service]` (`sudo systemctl edit UNIT`), then `sudo systemctl restart UNIT` |
    | a container | `--ulimit nofile=65536:65536` for `docker run` or `podman run`; `ulimits: {nofile: 65536}` in a compose file |
    """  # noqa: E501
    return Says(
        "the hub may open too few files for many people",
        "each participant takes some; people who come when they are used up are refused",
    )


@declare("connections-refused", "warning")
def connections_refused(what: str, client: str, full: bool) -> Says:
    """Media or the edge refuses connections from one address. The subject is the process.

    **Why.** One address, or the /64 network that an IPv6 client has, gets up to 1,000 connections of each kind, and
    never more than are still free: a single address gets at most half of them, so there is always room for others. All
    addresses of an IPv6 /48, which is what one home may be given, get no more than half together either. A mobile
    provider may have many customers in one /48, as other providers have behind one IPv4 address. Half of the files that
    a process may open are for media over TCP, the other half for signalling; at the edge each connection takes two. So
    at a limit of 2,048 open files one address gets 448 connections, enough for some 100 people behind one router.
    Connections that are open are never ended because of this. Behind a proxy, the client's address that the proxy sends
    counts.

    **What to do.** If you don't know the address, shut it out in your firewall. If it is an office of yours, let the
    hub open more files ([`open-files-few`](#open-files-few)).
    """
    if full:
        return Says(
            f"{what} refuses connections: every place was taken",
            "it may open no more files, and each connection takes some. Connections that are open go on",
        )
    return Says(
        f"{what} refuses connections from {client}",
        "one address has as many connections as it may without shutting others out: a flood, or very many people "
        "behind one router. Connections that are open go on",
    )


@declare("accept-fails", "error")
def accept_fails(what: str) -> Says:
    """Media or the edge could not accept a connection that waited. The subject is the process.

    **Why.** The system refused: the usual reason is *too many open files*; the detail has the system's error. The
    process tries again twenty times a second, and accepts the connections that wait as soon as it can.

    **What to do.** Raise the limit of open files ([`open-files-few`](#open-files-few)).
    """
    return Says(
        f"{what} could not accept a connection",
        "the system refused: the process may open no more files, or the machine's memory is used up. It goes on "
        "trying, and people who connect meanwhile wait",
    )


@declare("conntrack-full", "warning", error="above 98 %")
def conntrack_full() -> Says:
    """The firewall's table of connections is nearly full.

    **Why.** When the table is full, the kernel drops the packets of new connections: of calls, and of everything else
    on this machine.

    **What to do.** Enlarge the table; the finding has the number that fits this machine:

    ```sh
    sudo sysctl -w net.netfilter.nf_conntrack_max=262144
    ```
    """
    return Says(
        "the firewall's table of connections is nearly full",
        "when the table is full, the kernel drops the packets of new connections, also of calls",
    )
