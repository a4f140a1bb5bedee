"""Codes of what keeps a hub from the certificate of its tailnet (`tls.mode: tailscale`)."""

from lkhub.findings.declare import Says, declare


@declare("tailscale-no-daemon", "error")
def tailscale_no_daemon(message: str) -> Says:
    """No tailscaled answers on this machine. The subject is `tls.mode`.

    **Why.** It is not installed, not started, or its socket is elsewhere (`TS_SOCKET`).

    **What to do.** Start or install it, as the hint says: [Tailscale](guides/tailscale.md#what-goes-wrong).
    """
    return Says(message)


@declare("tailscale-silent", "error")
def tailscale_silent(message: str) -> Says:
    """Something is at tailscaled's socket, and does not answer as tailscaled does. The subject is `tls.mode`.

    **Why.** It hangs, is far older than this lkhub knows, or is another program.

    **What to do.** Restart or update it, or unset `TS_SOCKET`.
    """
    return Says(message)


@declare("tailscale-no-permission", "error")
def tailscale_no_permission(message: str) -> Says:
    """Tailscaled gives the hub's user no certificates. The subject is `tls.mode`.

    **Why.** It gives them to root, to its operator, and to the user that its settings name.

    **What to do.** Tell it of the hub's user, as the hint says, or run lkhub as root.
    """
    return Says(message)


@declare("tailscale-not-connected", "error")
def tailscale_not_connected(message: str) -> Says:
    """Tailscale is not connected on this machine. The subject is `tls.mode`.

    **Why.** It is not logged in, switched off, waits for an admin of the tailnet, or is still starting.

    **What to do.** Connect it: `sudo tailscale up`.
    """
    return Says(message)


@declare("tailscale-userspace", "error")
def tailscale_userspace(message: str) -> Says:
    """Tailscale runs here without a network interface. The subject is `tls.mode`.

    **Why.** With userspace networking other devices reach this machine's TCP ports through tailscaled alone, and
    media not at all.

    **What to do.** Start tailscaled without `--tun=userspace-networking`; it needs `/dev/net/tun`.
    """
    return Says(message)


@declare("tailscale-https-off", "error")
def tailscale_https_off(message: str) -> Says:
    """The tailnet gives out no certificates. The subject is `tls.mode`.

    **Why.** HTTPS certificates are not enabled in it, or its control server has none to give (headscale).

    **What to do.** Enable them in Tailscale's admin console, under DNS; with headscale write `tls.mode: internal`.
    """
    return Says(message)


@declare("tailscale-wrong-name", "error")
def tailscale_wrong_name(message: str) -> Says:
    """The name of the hub is not one that Tailscale has certificates for. The subject is `tls.mode`.

    **Why.** A node of a tailnet has one name. It was renamed, or `domain` names another.

    **What to do.** Write the name that the hint has, or rename the node.
    """
    return Says(message)
