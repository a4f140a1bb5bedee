"""The part of our own environment that a one-shot program gets."""

import os

# firewall-cmd and Tailscale's programs speak to their daemons; Go reads the variables of certificates and proxies;
# NixOS and similar systems find libraries by variables.
_NEEDED = {
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM", "TZ", "LANG", "LANGUAGE", "LD_LIBRARY_PATH"),
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT"),
}


def tool_environ() -> dict[str, str]:
    """The variables of our own environment that a one-shot program needs: where programs and files are, the language,
    and how to reach other programs.

    Any other variable may be a secret. Some are secrets of the spec, but which ones is known only once the spec was
    read.
    """
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith("LC_")}
