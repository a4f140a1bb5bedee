"""Programs that end TLS in front of a hub, started by hand with the hub's own files: its edge, or stock Caddy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.process import run_process, wait_http, wait_listening
from bench.server import Files
from tests.kit.proxies import find_program

CADDYFILE = """\
{{
    admin off
    auto_https off
    skip_install_trust
    storage file_system {folder}
}}
https://127.0.0.1:{port} {{
    bind 127.0.0.1
    tls {certificate} {key}
    reverse_proxy 127.0.0.1:{signal}
}}
"""


@contextmanager
def run_edge(engine: str, files: Files, cpu: int | None = None) -> Iterator[psutil.Popen]:
    """`lkhub-engine edge` with the hub's caddy.json."""
    control = files.folder / "edge.sock"
    command = [engine, "edge", "--config", str(files.rendered("caddy.json")), "--control", str(control)]
    with run_process(command, files.folder / "edge.log", cpu) as process:
        wait_http(control, process)
        yield process


@contextmanager
def run_caddy(files: Files, cpu: int | None = None, port: int | None = None) -> Iterator[psutil.Popen]:
    """Debian's Caddy as its documents set it up: one `reverse_proxy`, with the edge's certificate, and on the edge's
    port unless another is given."""
    folder = files.folder / "stock-caddy"
    folder.mkdir(exist_ok=True)
    certificate, key = certificate_of(files)
    port, signal = port or files.ports["https"], files.ports["signal"]
    config = folder / "Caddyfile"
    config.write_text(CADDYFILE.format(folder=folder, port=port, certificate=certificate, key=key, signal=signal))
    command = [find_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    home = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    with run_process(command, folder / "caddy.log", cpu, home) as process:
        wait_listening(port, process)
        yield process


def certificate_of(files: Files) -> tuple[Path, Path]:
    """The chain and the key that the hub's edge has made for 127.0.0.1."""
    (certificate,) = (files.hub.state / "caddy/certificates").glob("*/127.0.0.1/127.0.0.1.crt")
    return certificate, certificate.with_suffix(".key")
