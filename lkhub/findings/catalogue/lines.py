"""Codes of what calls showed of the line and of this machine, whether they got through or not."""

from lkhub.findings.declare import Says, declare


@declare("path-lossy", "warning", "from 3 % of the packets on", error="and a path that fails, from 25 % on")
def path_lossy(paths: str, count: int, worst: float, unfit: bool) -> Says:
    """Packets of a call are lost on the way.
    The subject is the first path that loses; all that do are in the title.

    **Why.** `verify` sends sound (50 small packets a second) and a picture (1.4 Mbit/s in bursts of packets of 1,160
    bytes), and counts what arrives within 0.3 s: for 0.4 s, and for 2 s where anything is missing. Up to a few per cent
    are made up for by Opus and by sending again; above that sound has gaps and pictures freeze. Other paths that got no
    answer in time on such a line name this finding as their cause. Overloaded Wi-Fi, a mobile network and a full uplink
    are the usual reasons, and so is a machine with too much to do.

    **What to do.** Try over a cable, and look where packets are lost:

    ```sh elsewhere
    mtr rtc.example.com
    ```
    """
    lose = "loses" if count == 1 else "lose"
    heard = "no call is fit for that" if unfit else "people hear and see that"
    return Says(f"{paths} {lose} up to {worst:.0%} of the packets: {heard}")


@declare("path-slow", "info", "from a round trip of 150 ms on", warning="from 400 ms on")
def path_slow(worst_ms: float, too_slow: bool) -> Says:
    """People hear each other late. The subject is the first path
    that is slow; all are in the detail.

    **Why.** Between two people who are as far from the server as the machine that called, what one says is with the
    other after one round trip to the server, and after some 100 ms more that coding and evening out take. By ITU-T's
    G.114 people hardly notice 150 ms from mouth to ear, and talk over each other above 400 ms. It is the shortest round
    trip of several, which a busy machine does not make longer. A far server, a VPN, a satellite or a relay far away are
    the usual reasons.

    **What to do.** See where the way goes round, or run a hub nearer to the people who call:

    ```sh elsewhere
    mtr rtc.example.com
    ```
    """
    heard = "talk over each other" if too_slow else "hear each other late"
    return Says(
        f"packets to the server and back take {worst_ms:.0f} ms: people {heard}",
        "the server is far away, or the way to it goes round: over a VPN, a satellite, a relay, a mobile network",
    )


@declare("path-uneven", "warning")
def path_uneven(worst_ms: float) -> Says:
    """Packets of sound come 30 ms earlier or later than the one before, or more, in the middle of all. The subject
    is the first path on which they do; all are in the detail.

    **Why.** People who listen have to wait for the late ones, and hear others later, then in pieces. Wi-Fi, a mobile
    network and a full uplink do that, and so does a server with too much to do. It is told only where the machine that
    called was even itself: had it too much to do, this could not be known.

    **What to do.** Try over a cable, and look where the way gets uneven:

    ```sh elsewhere
    mtr rtc.example.com
    ```
    """
    return Says(
        f"packets of sound come up to {worst_ms:.0f} ms earlier or later than the one before: people hear pauses",
        "not decided: the network between here and the server is overloaded or bad (Wi-Fi, a mobile network, a full "
        "uplink); or the server has too much to do",
    )


@declare("sends-refused", "error")
def sends_refused(process: str) -> Says:
    """This machine refuses what media or the relay sends over UDP. The subject is the process. Where a verified
    path failed by it, [`path-fails`](#path-fails) says so, and this finding is left out.

    **Why.** The last ten packets or more were refused by the kernel with *operation not permitted* or *permission
    denied*, and none left in between, so no call gets through over UDP. A rule of the firewall for packets that leave
    does that (nftables and iptables: `output`), and so does a filter on the process: systemd's `IPAddressDeny=` and
    `SystemCallFilter=`, a container's seccomp profile. The detail names the last address that a packet was for.

    **What to do.** Look for a rule that drops or rejects in the chains for what leaves:

    ```sh
    sudo nft list ruleset
    ```
    """
    return Says(f"this machine refuses what {process} sends over UDP")
