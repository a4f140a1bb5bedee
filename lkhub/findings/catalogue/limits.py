"""Codes of what is used up: relay ports, connections, files, buffers."""

from lkhub.findings.declare import Says, declare


@declare(
    "relay-nearly-full",
    "warning",
    error="when somebody was refused for it within the last ten minutes, or nothing is left",
)
def relay_nearly_full(way: str, full: bool) -> Says:
    """Three quarters of the relay's ports for one way, TURN over UDP (`turn-udp`) or TLS (`turn-tls`), are taken.
    The detail says how many, and which address has most of them.

    **Why.** Each participant takes some of `turn.relay`, also where its call needs none: about six for each TURN URL.
    With less than a quarter left an address gets two participants' worth, so that there is something for newcomers.
    Without an allocation a call on a network that lets nothing else through does not come about; the others notice
    nothing.

    **What to do.** Give the relay a wider range, a dozen ports for each participant more, in `hub.yaml`. The change
    waits until nobody is in a call:

    ```yaml
    turn:
      relay: 20000-39999
    ```

    Where the detail names one address, see who comes from there. What its participants took comes back within seconds
    after they have left. If the process may open fewer files than it has ports, the finding says that instead:
    [open-files-few](#open-files-few).
    """
    return Says(
        f"{way} is full" if full else f"{way} is nearly full",
        "each participant takes some relay ports, also where its call needs none; "
        "who gets none has no call on a network that lets nothing else through",
    )


@declare("relay-address-full", "warning")
def relay_address_full(address: str, way: str) -> Says:
    """Within the last ten minutes an address was refused more of the relay, because it holds its share. The subject
    is the way: `turn-udp` or `turn-tls`.

    **Why.** [No address gets everything](concepts/way-in.md#the-relays-bounds), and neither do all networks of one IPv6
    /48 together: up to half of what is left, and an office of fifty people has room while there is any. More people
    than that behind one NAT reach the bound, and so do all clients together behind a proxy that does not say where they
    are. So does somebody who joins over and over to use the relay up; then there is nothing to do, as what it took
    comes back.

    **What to do.** A proxy in front of TURN over TLS has to send the PROXY protocol; `lkhub render proxy -o .` writes
    its configuration so. Otherwise give the relay a wider range:

    ```yaml
    turn:
      relay: 20000-39999
    ```
    """
    return Says(
        f"{address} gets no more of {way}",
        "no address gets all that is left: an office of fifty has room, a NAT or a proxy that many more come through "
        "may not, and somebody who joins to use the relay up does not",
    )


@declare("udp-buffer-small", "warning")
def udp_buffer_small() -> Says:
    """The kernel's UDP buffers are too small for many people at once.

    **Why.** A key frame of video is a burst of packets. What the buffer does not hold is lost, and everyone's picture
    freezes for a moment. The detail has the values of `net.core.rmem_max` and `net.core.wmem_max`.

    **What to do.** Raise them, keep them after a reboot, and let media open its sockets anew:

    ```sh
    sudo sysctl -w net.core.rmem_max=2500000 net.core.wmem_max=2500000
    lkhub restart media
    ```
    """
    return Says(
        "the kernel's UDP buffers are too small for many people at once",
        "a burst of video is larger than the buffer, and what does not fit is lost",
    )


@declare("open-files-few", "warning")
def open_files_few() -> Says:
    """The hub's processes may open too few files.

    **Why.** Each participant takes some, and one that comes when they are used up is refused.

    **What to do.** The hub's processes have the limit of what started the hub, so raise it there and start the hub
    anew. The finding names the way for what this hub runs in:

    | started by | the limit |
    |---|---|
    | a shell of root | `ulimit -Hn 65536` there, then `lkhub down` and `lkhub up` |
    | another user's shell | `sudo prlimit --pid $$ --nofile=65536` there, then `lkhub down` and `lkhub up` |
    | a systemd unit | `LimitNOFILE=65536` below `[Service]` (`sudo systemctl edit UNIT`), then `sudo systemctl restart UNIT` |
    | a container | `--ulimit nofile=65536:65536` for `docker run` or `podman run`; `ulimits: {nofile: 65536}` in a compose file |
    """  # noqa: E501
    return Says(
        "the hub may open too few files for many people",
        "each participant takes some; whoever comes when they are used up is refused",
    )


@declare("connections-refused", "warning")
def connections_refused(what: str, client: str, full: bool) -> Says:
    """Media or the edge refuses connections of one address. The subject is the process.

    **Why.** One address, or the /64 network that an IPv6 client has, gets up to 1,000 connections of each kind, and
    never more than are still free: alone it gets half of them, and there is always room for others. All of an IPv6 /48
    together, which is what one home may be given, get no more than half either; a provider of mobile access may have
    many customers in it, as others have behind one IPv4 address. Half of the open files that a process may have are for
    media over TCP, the other half for signalling; at the edge a connection takes two. So at a limit of 2,048 open files
    one address gets 448 connections, with room for some 100 people behind one router. Those that are open are never
    ended because of it. Behind a proxy it is the address that the proxy names that counts.

    **What to do.** If you don't know the address, shut it out in your firewall. If it is an office of yours, let the
    hub open more files ([`open-files-few`](#open-files-few)).
    """
    if full:
        return Says(
            f"{what} refuses connections: every place was taken",
            "there are more connections than its open files carry. Those that are open go on",
        )
    return Says(
        f"{what} refuses connections of {client}",
        "one address has as many connections as it may without shutting others out: a flood, or very many people "
        "behind one router. Those that are open go on",
    )


@declare("accept-fails", "error")
def accept_fails(what: str) -> Says:
    """Media or the edge could not take a connection that waited for it. The subject is the process.

    **Why.** The system refused: *too many open files* is the usual reason, and the detail has its words. The process
    goes on trying, twenty times a second, and takes what waits as soon as it can.

    **What to do.** Raise the limit of open files ([`open-files-few`](#open-files-few)).
    """
    return Says(
        f"{what} could not take a connection",
        "the system gave it none: its open files or the machine's memory are used up. It goes on trying, and whoever "
        "connects meanwhile waits",
    )


@declare("conntrack-full", "warning", error="above 98 %")
def conntrack_full() -> Says:
    """The firewall's table of connections is nearly full.

    **Why.** When it is full the kernel drops the packets of new connections: of calls, and of everything else here.

    **What to do.** Enlarge it; the finding has the number that fits this machine:

    ```sh
    sudo sysctl -w net.netfilter.nf_conntrack_max=262144
    ```
    """
    return Says(
        "the firewall's table of connections is nearly full",
        "when it is full the kernel drops the packets of new connections, also of calls",
    )
