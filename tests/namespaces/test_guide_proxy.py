"""The guide for a hub behind nginx, as its reader follows it on a machine with Debian's nginx.

The machine's own files stay as they are: what the guide writes below /etc/nginx goes to a copy that only programs of
the test see there.
"""

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.documents import ROOT
from tests.kit.acme import AUTHORITIES, certifying
from tests.kit.guide import PUBLIC, STRANGE, follow, sit_down, sit_elsewhere
from tests.kit.netns import Namespace
from tests.kit.proxies import find_program
from tests.namespaces.lan import make_lan
from tests.namespaces.proxied import NAME, TURN_NAME, write_certificates

NGINX = ("/etc/nginx", "/var/log/nginx")


@contextmanager
def with_nginx(machine: Namespace, folder: Path) -> Iterator[Namespace]:
    """The machine with Debian's nginx running on it, which has its configuration and its logs in `folder`."""
    find_program("nginx")
    binds = []
    for place in NGINX:
        own = folder / place.strip("/").replace("/", "-")
        shutil.copytree(place, own, symlinks=True)
        binds.append(f"mount --bind {shlex.quote(str(own))} {place}")
    main = folder / "etc-nginx" / "nginx.conf"
    main.write_text(main.read_text().replace("pid /run/nginx.pid;", "pid /etc/nginx/nginx.pid;"))
    mounted = _Mounted(machine.name, " && ".join(binds))
    mounted.run("nginx")
    yield mounted


@dataclass(frozen=True)
class _Mounted(Namespace):
    """A namespace whose programs see other files, which `mount` mounts."""

    mount: str

    @property
    def prefix(self) -> list[str]:
        return [*super().prefix, "sh", "-c", f'{self.mount} && exec "$@"', "sh"]


def test_a_reader_gets_behind_nginx(tmp_path: Path) -> None:
    write_certificates(tmp_path, NAME)
    # The lines that the reader checks after copying: the paths of certbot's files.
    copy = f"""
        /bin/cp "$@"
        sed -i -e 's#/etc/letsencrypt/live/{NAME}/fullchain.pem#{tmp_path}/cert.pem#' \\
            -e 's#/etc/letsencrypt/live/{NAME}/privkey.pem#{tmp_path}/key.pem#' /etc/nginx/conf.d/*.conf
        """
    with make_lan(PUBLIC, STRANGE, "eth0") as lan, tempfile.TemporaryDirectory(prefix="acme-") as acme:
        for machine in (lan.hub, lan.client):
            machine.name_hosts({**dict.fromkeys(AUTHORITIES, STRANGE), NAME: PUBLIC, TURN_NAME: PUBLIC})
        with certifying(lan.client, Path(acme)) as root, with_nginx(lan.hub, tmp_path / "nginx") as hub:
            authorities = tmp_path / "authorities.pem"
            authorities.write_text((tmp_path / "root.pem").read_text() + root.read_text())
            trusting = {"SSL_CERT_FILE": str(authorities)}
            with sit_down(hub, trusting, {"cp": copy}) as desk, sit_elsewhere(lan.client, trusting) as elsewhere:
                follow(ROOT / "docs/guides/behind-a-proxy.md", desk, elsewhere, {"203.0.113.5": PUBLIC})
