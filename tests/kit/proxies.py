"""Real proxies in front of a hub: the snippets of `lkhub render proxy`, in the smallest configuration around them.

A snippet is changed only in the paths of certificates and of nginx's log, which depend on the machine.
"""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.netns import Namespace
from tests.waiting import wait_until

PACKAGES = {"nginx": "nginx libnginx-mod-stream", "haproxy": "haproxy", "caddy": "caddy"}
_STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


@dataclass(frozen=True)
class Place:
    """The paths that a proxy needs: its snippets, its certificate, a folder for its own files."""

    snippets: Path
    certificate: Path
    key: Path
    folder: Path

    def take(self, name: str, *changes: tuple[str, str]) -> str:
        """The text of a snippet with each of `changes` made; the snippet must contain the replaced text."""
        text = (self.snippets / name).read_text()
        for old, new in changes:
            assert old in text, f"{old!r} is not in {name}"
            text = text.replace(old, new)
        return text

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    folder: Path

    def said(self) -> str:
        """Its whole log."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


def find_program(name: str) -> str:
    """A proxy's program. Raises AssertionError with the command that installs it if it is missing."""
    # Traefik is a package from PyPI, in the environment that runs the tests.
    found = shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))
    how = f"apt-get install {PACKAGES[name]}" if name in PACKAGES else "scripts/setup dev"
    assert found, f"{name} is not installed: {how}"
    return found


@contextmanager
def proxying(name: str, machine: Namespace, place: Place) -> Iterator[Proxy]:
    """The proxy `name`, listening on 80 and 443 of a machine for as long as the block runs."""
    argv = _PREPARE[name](place)
    environ = {**os.environ, "HOME": str(place.folder), "XDG_DATA_HOME": str(place.folder)}
    with (
        open(place.folder / "output.log", "w") as output,
        subprocess.Popen([*machine.prefix, *argv], stdout=output, stderr=subprocess.STDOUT, env=environ) as process,
    ):
        proxy = Proxy(place.folder)
        try:
            wait_until(lambda: _listens(machine, 80, 443) or process.poll() is not None, f"{name} listens")
            assert process.poll() is None, f"{name} ended:\n{proxy.said()[-4000:]}"
            yield proxy
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _listens(machine: Namespace, *ports: int) -> bool:
    return all(machine.run("ss", "-Hltn", f"sport = :{port}").strip() for port in ports)


def _prepare_nginx(place: Place) -> Sequence[str]:
    http = place.take(
        "nginx-lkhub.conf",
        ("/etc/letsencrypt/live/rtc.example.com/fullchain.pem", str(place.certificate)),
        ("/etc/letsencrypt/live/rtc.example.com/privkey.pem", str(place.key)),
        ("/var/log/nginx/", f"{place.folder}/"),
    )
    place.write("http.conf", http)
    has_stream = (place.snippets / "nginx-lkhub-stream.conf").exists()
    stream = place.take("nginx-lkhub-stream.conf") if has_stream else ""
    main = f"""
        load_module {_STREAM_MODULE};
        daemon off;
        pid {place.folder}/pid;
        error_log {place.folder}/error.log;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {place.folder}/body;
            proxy_temp_path {place.folder}/proxy;
            fastcgi_temp_path {place.folder}/fastcgi;
            uwsgi_temp_path {place.folder}/uwsgi;
            scgi_temp_path {place.folder}/scgi;
            include {place.folder}/http.conf;
        }}
        """
    return [find_program("nginx"), "-c", place.write("nginx.conf", main + stream), "-p", str(place.folder)]


def _prepare_caddy(place: Place) -> Sequence[str]:
    site = ("rtc.example.com {", f"rtc.example.com {{\n    tls {place.certificate} {place.key}")
    place.write("caddy-lkhub.Caddyfile", place.take("caddy-lkhub.Caddyfile", site))
    place.write("caddy-lkhub-options.Caddyfile", place.take("caddy-lkhub-options.Caddyfile"))
    main = """
        {
            admin off
            skip_install_trust
            import caddy-lkhub-options.Caddyfile
        }
        import caddy-lkhub.Caddyfile
        """
    return [find_program("caddy"), "run", "--adapter", "caddyfile", "--config", place.write("Caddyfile", main)]


def _prepare_haproxy(place: Place) -> Sequence[str]:
    both = place.write("both.pem", place.certificate.read_text() + place.key.read_text())
    snippet = place.take("haproxy-lkhub.cfg", ("/etc/haproxy/certs/rtc.example.com.pem", both))
    # As in Debian: every request is logged.
    main = "global\n    log stdout format raw local0\ndefaults\n    log global\n    option httplog\n"
    files = (place.write("haproxy.cfg", main), place.write("haproxy-lkhub.cfg", snippet))
    return [find_program("haproxy"), "-db", "-f", files[0], "-f", files[1]]


def _prepare_traefik(place: Place) -> Sequence[str]:
    dynamic = place.folder / "dynamic"
    dynamic.mkdir()
    certificates = f"tls:\n  certificates:\n    - {{certFile: {place.certificate}, keyFile: {place.key}}}\n"
    (dynamic / "certificates.yaml").write_text(certificates)
    snippet = place.take("traefik-lkhub.yaml", ("tls:\n        certResolver: letsencrypt", "tls: {}"))
    (dynamic / "lkhub.yaml").write_text(snippet)
    main = f"""
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
accessLog: {{}}
entryPoints:
  web: {{address: ":80"}}
  websecure: {{address: ":443"}}
providers:
  file: {{directory: {dynamic}}}
"""
    return [find_program("traefik"), "--configFile", place.write("traefik.yaml", main)]


_PREPARE: dict[str, Callable[[Place], Sequence[str]]] = {
    "nginx": _prepare_nginx,
    "caddy": _prepare_caddy,
    "haproxy": _prepare_haproxy,
    "traefik": _prepare_traefik,
}
