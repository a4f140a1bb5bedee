"""A LiveKit without lkhub: stock livekit-server with its own TURN, behind stock proxies."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.process import run_process
from tests.kit.hub import Hub
from tests.kit.netns import Namespace
from tests.kit.proxies import find_program
from tests.namespaces.lan import HUB, Lan
from tests.namespaces.proxied import NAME, TURN_NAME
from tests.waiting import wait_until

KEY, SECRET = "APIstock", "CANARYstock-0123456789-0123456789"

LIVEKIT = """\
port: 7880
bind_addresses: [127.0.0.1]
keys: {{{key}: {secret}}}
rtc: {{udp_port: 7882, tcp_port: 7881, node_ip: {node_ip}, use_external_ip: false{rtc}}}
"""

# The ports of LiveKit's own documents. LiveKit's TURN relays to the addresses of these tests only with a setting: they
# are of the range for benchmarks (pkg/service/turnrelay.go).
TURN = """\
turn: {{enabled: true, udp_port: 3478, tls_port: 5349, domain: {domain}, cert_file: {cert}, key_file: {key},
  allow_restricted_peer_cidrs: [{peers}]}}
"""

CADDY = """\
{{
    admin off
    auto_https off
    skip_install_trust
    storage file_system {folder}
}}
https://{name}:{port} {{
    tls {folder}/cert.pem {folder}/key.pem
    reverse_proxy 127.0.0.1:7880
}}
"""

# What makes 443 lead to TURN too: it has a name of its own, which the proxy sees in the first message of TLS.
HAPROXY = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend https
    bind :443
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend turn if {{ req.ssl_sni -i {turn_name} }}
    default_backend web
backend turn
    server turn 127.0.0.1:5349
backend web
    server web 127.0.0.1:8443
"""


@contextmanager
def serving(
    machine: Namespace,
    program: str,
    folder: Path,
    *,
    node_ip: str = HUB,
    rtc: str = "",
    turn_domain: str = NAME,
    by_name: bool = False,
    peers: str = "198.18.0.0/15",
) -> Iterator[None]:
    """livekit-server at NAME with the certificate of `folder`. It tells clients `node_ip`; `rtc` has further keys of
    that section. Without `turn_domain` it has no TURN, and with `by_name` port 443 is shared by HAProxy. `peers` are
    what its TURN relays to besides public addresses."""
    livekit = LIVEKIT.format(key=KEY, secret=SECRET, node_ip=node_ip, rtc=rtc and f", {rtc}")
    if turn_domain:
        livekit += TURN.format(domain=turn_domain, cert=folder / "cert.pem", key=folder / "key.pem", peers=peers)
    caddy = CADDY.format(folder=folder, name=NAME, port=8443 if by_name else 443)
    commands = [
        [program, "--config", _write(folder / "livekit.yaml", livekit)],
        [find_program("caddy"), "run", "--adapter", "caddyfile", "--config", _write(folder / "Caddyfile", caddy)],
    ]
    ports = {7880, 7881, 443} | ({5349} if turn_domain else set())
    if by_name:
        haproxy = HAPROXY.format(turn_name=TURN_NAME)
        commands.append([find_program("haproxy"), "-db", "-f", _write(folder / "haproxy.cfg", haproxy)])
    with _running(machine, folder, commands, ports):
        yield


@contextmanager
def _running(machine: Namespace, folder: Path, commands: Sequence[Sequence[str]], ports: set[int]) -> Iterator[None]:
    home = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    with ExitStack() as stack:
        logs = [folder / f"{Path(command[0]).name}.log" for command in commands]
        processes = [
            stack.enter_context(run_process([*machine.prefix, *command], log, environ=home))
            for command, log in zip(commands, logs, strict=True)
        ]

        def ended() -> bool:
            return any(process.poll() is not None for process in processes)

        wait_until(lambda: ended() or _listens(machine, ports), "livekit-server and what is in front of it listen")
        assert not ended(), "\n".join(log.read_text(errors="replace")[-2000:] for log in logs)
        yield


def _listens(machine: Namespace, ports: set[int]) -> bool:
    return all(machine.run("ss", "-Hltn", f"sport = :{port}").strip() for port in ports)


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def on_client(lan: Lan, folder: Path) -> Hub:
    """`lkhub` on the client's machine, with the URL and keys of that LiveKit."""
    environ = {
        "SSL_CERT_FILE": str(folder / "root.pem"),
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
    }
    return Hub(folder, {}, lan.client.prefix, environ)
