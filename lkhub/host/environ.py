"""What of our own environment a program gets that is run to its end."""

import os

# firewall-cmd and Tailscale's programs speak to their daemons; Go reads those of certificates and proxies; NixOS and
# the like find libraries by theirs.
_NEEDED = {
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM", "TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH"),
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT"),
}


def tool_environ() -> dict[str, str]:
    """What a program that is run to its end needs of our own environment: where programs and files are, its language,
    and the way to other programs.

    Anything else may be a secret, one that the spec refers to among them: which those are is known when it was read.
    """
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith("LC_")}
