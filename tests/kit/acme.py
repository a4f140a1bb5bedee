"""Stand-ins for the public authorities Let's Encrypt and ZeroSSL in a namespace: their host names lead to an ACME
server that proves names as they do. It is the ACME server of Debian's Caddy."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.netns import Namespace
from tests.kit.proxies import find_program
from tests.waiting import wait_until

AUTHORITIES = ("acme-v02.api.letsencrypt.org", "acme.zerossl.com", "api.zerossl.com")

# ZeroSSL ties an ACME account to one of its own, made from an e-mail address (caddytls/acmeissuer.go,
# generateZeroSSLEABCredentials).
_CADDYFILE = """
{
    admin off
    skip_install_trust
    auto_https disable_redirects
}
acme-v02.api.letsencrypt.org, acme.zerossl.com {
    tls internal
    @directory path /directory /v2/DV90
    rewrite @directory /acme/local/directory
    acme_server
}
api.zerossl.com {
    tls internal
    header Content-Type application/json
    respond `{"success": true, "eab_kid": "kid", "eab_hmac_key": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}`
}
"""


@contextmanager
def certifying(machine: Namespace, folder: Path) -> Iterator[Path]:
    """The authorities run on a machine, which has to resolve the names that they certify. Yields the root of all their
    certificates, also those of their own HTTPS."""
    (folder / "Caddyfile").write_text(_CADDYFILE)
    environ = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    argv = [find_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with (
        open(folder / "log", "w") as log,
        subprocess.Popen([*machine.prefix, *argv], stdout=log, stderr=log, env=environ, cwd=folder) as server,
    ):
        try:
            root = folder / "caddy/pki/authorities/local/root.crt"
            ready = [folder / f"caddy/certificates/local/{name}/{name}.crt" for name in AUTHORITIES]
            ended = "the ACME server ended"
            wait_until(
                lambda: all(file.exists() for file in ready) or server.poll() is not None, "the ACME server runs"
            )
            assert server.poll() is None, f"{ended}:\n{(folder / 'log').read_text()}"
            yield root
        finally:
            server.kill()
