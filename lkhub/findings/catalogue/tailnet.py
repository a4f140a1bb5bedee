"""Codes of what keeps a hub from the certificate of its tailnet (`tls.mode: tailscale`), and others in it from the
hub."""

from lkhub.findings.declare import Says, declare


@declare("tailscale-no-daemon", "error")
def tailscale_no_daemon(message: str) -> Says:
    """No tailscaled answers on this machine. The subject is `tls.mode`.

    **Why.** tailscaled is not installed, not started, or its socket is elsewhere (`TS_SOCKET`).

    **What to do.** Start or install it, as the hint says: [Tailscale](guides/tailscale.md#what-goes-wrong).
    """
    return Says(message)


@declare("tailscale-silent", "error")
def tailscale_silent(message: str) -> Says:
    """A program listens on tailscaled's socket, and does not answer as tailscaled does. The subject is `tls.mode`.

    **Why.** tailscaled hangs, is much older than the versions that lkhub knows, or the program is another one.

    **What to do.** Restart or update it, or unset `TS_SOCKET`.
    """
    return Says(message)


@declare("tailscale-no-permission", "error")
def tailscale_no_permission(message: str) -> Says:
    """tailscaled gives the hub's user no certificates. The subject is `tls.mode`.

    **Why.** tailscaled gives certificates to root, to its operator, and to the user that its settings name.

    **What to do.** Name the hub's user to tailscaled, as the hint says, or run lkhub as root.
    """
    return Says(message)


@declare("tailscale-not-connected", "error")
def tailscale_not_connected(message: str) -> Says:
    """Tailscale is not connected on this machine. The subject is `tls.mode`.

    **Why.** Tailscale is not logged in, is switched off, waits for an admin of the tailnet, or is still starting.

    **What to do.** Connect it: `sudo tailscale up`.
    """
    return Says(message)


@declare("tailscale-userspace", "error")
def tailscale_userspace(message: str) -> Says:
    """Tailscale runs here without a network interface. The subject is `tls.mode`.

    **Why.** With userspace networking, other devices reach this machine's TCP ports only through tailscaled, and
    media's UDP port not at all.

    **What to do.** Start tailscaled without `--tun=userspace-networking`; it needs `/dev/net/tun`.
    """
    return Says(message)


@declare("tailscale-https-off", "error")
def tailscale_https_off(message: str) -> Says:
    """The tailnet gives out no certificates. The subject is `tls.mode`.

    **Why.** HTTPS certificates are not enabled in the tailnet, or its control server can't issue any (headscale).

    **What to do.** Enable them in Tailscale's admin console, under DNS; with headscale write `tls.mode: internal`.
    """
    return Says(message)


@declare("tailscale-wrong-name", "error")
def tailscale_wrong_name(message: str) -> Says:
    """Tailscale has no certificate for the name of the hub. The subject is `tls.mode`.

    **Why.** A machine has one name in a tailnet. The machine was renamed, or `domain` has another name.

    **What to do.** Write the name that the hint has as `domain`, or rename the machine in the tailnet.
    """
    return Says(message)


@declare("tailscale-serves", "error")
def tailscale_serves(ports: str) -> Says:
    """Tailscale itself serves a port of the hub. The subject is the port.

    **Why.** `tailscale serve` and `tailscale funnel` take what other devices of the tailnet send to a port of this
    machine before any program of this machine does. This is also so where the hub has listened there before: these
    devices get what Tailscale serves. The hub's own calls do not pass through the tailnet, so they prove nothing.

    **What to do.** Let Tailscale serve on another port, or end it with the command that the finding has. A hub needs no
    `tailscale serve` in front.
    """
    return Says(
        f"Tailscale serves {ports} of this machine itself",
        "other devices of the tailnet get what Tailscale serves there (`tailscale serve status` shows it), and not the "
        "hub",
    )
