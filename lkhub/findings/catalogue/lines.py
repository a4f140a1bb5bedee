"""Codes of what calls showed about the network and about this machine, whether the calls got through or not."""

from lkhub.findings.declare import Says, declare


@declare("path-lossy", "warning", "from 3 % of the packets on", error="and a path that fails, from 25 % on")
def path_lossy(paths: str, count: int, worst: float, unfit: bool) -> Says:
    """Packets of a call are lost between here and the server. The subject is the first path that loses packets; the
    title names all such paths.

    **Why.** `verify` sends sound (50 small packets a second) and a picture (1.4 Mbit/s in bursts of packets of 1,160
    bytes), and counts the packets that arrive within 0.3 s. It counts for 0.4 s, and for 2 s where any is missing. Opus
    and sending again make up for a loss of a few per cent; above that, sound has gaps and pictures freeze. Other paths
    that got no answer in time on such a line name this finding as their cause. Overloaded Wi-Fi, a mobile network and a
    full uplink are the usual reasons, and so is an overloaded machine.

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
    """People hear each other late. The subject is the first path that is slow; the detail names all slow paths.

    **Why.** If two people are as far from the server as the machine that called, one hears the other after one round
    trip to the server, plus some 100 ms for coding and for the buffer against jitter. By ITU-T's G.114 people hardly
    notice 150 ms from mouth to ear, and talk over each other above 400 ms. The finding takes the shortest of several
    round trips, which a busy machine does not make longer. A far server, a VPN, a satellite or a relay far away are the
    usual reasons.

    **What to do.** See where the packets make a detour, or run a hub nearer to the people who call:

    ```sh elsewhere
    mtr rtc.example.com
    ```
    """
    heard = "talk over each other" if too_slow else "hear each other late"
    return Says(
        f"packets to the server and back take {worst_ms:.0f} ms: people {heard}",
        "the server is far away, or packets to it make a detour: over a VPN, a satellite, a relay, a mobile network",
    )


@declare("path-uneven", "warning")
def path_uneven(worst_ms: float) -> Says:
    """Packets of sound arrive unevenly: half of them take at least 30 ms more or less than the packet before. The
    subject is the first path on which they do; the detail names all such paths.

    **Why.** Browsers and applications wait for late packets, so people hear each other later; if packets come later
    still, sound breaks up. Wi-Fi, a mobile network and a full uplink make packets uneven, and so does an overloaded
    server. The finding is shown only where the machine that called ran evenly itself: on an overloaded machine the
    cause could not be known.

    **What to do.** Try over a cable, and look where packets become uneven:

    ```sh elsewhere
    mtr rtc.example.com
    ```
    """
    return Says(
        f"packets of sound come up to {worst_ms:.0f} ms earlier or later than the one before: people hear pauses",
        "not decided: the network between here and the server is overloaded or bad (Wi-Fi, a mobile network, a full "
        "uplink); or the server is overloaded",
    )


@declare("sends-refused", "error")
def sends_refused(process: str) -> Says:
    """This machine refuses to send the UDP packets of media or of the relay. The subject is the process. Where a
    verified path failed because of this, [`path-fails`](#path-fails) says so, and this finding is left out.

    **Why.** The kernel refused the last ten packets or more with *operation not permitted* or *permission denied*, and
    sent none in between, so no call gets through over UDP. A firewall rule for outgoing packets does that (nftables and
    iptables: `output`), and so does a filter on the process: systemd's `IPAddressDeny=` and `SystemCallFilter=`, a
    container's seccomp profile. The detail names the address that the last packet was for.

    **What to do.** Look for a rule that drops or rejects in the chains for outgoing packets:

    ```sh
    sudo nft list ruleset
    ```
    """
    return Says(f"this machine refuses to send the UDP packets of {process}")
