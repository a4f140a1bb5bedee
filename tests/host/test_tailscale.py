import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.host import tailscale
from lkhub.host.tailscale import TailscaleFacts, ask_tailscale, find_daemon, judge_tailscale
from tests.kit.tailscaled import Tailscaled, run_tailscaled

NAME = "hub.tail1234.ts.net"
ALLOWED = (
    "sudo tailscale set --operator=ann; or, for certificates alone, TS_PERMIT_CERT_UID=ann in /etc/default/tailscaled "
    "and sudo systemctl restart tailscaled; or run lkhub as root"
)

Ask = Callable[[Tailscaled], TailscaleFacts]


@pytest.fixture
def path(short_dir: Path) -> str:
    return str(short_dir / "t.sock")


@pytest.fixture
def ask(path: str) -> Ask:
    def ask_one(daemon: Tailscaled) -> TailscaleFacts:
        with run_tailscaled(path, daemon):
            return ask_tailscale({"TS_SOCKET": path})

    return ask_one


def judge(facts: TailscaleFacts, domain: str | None = NAME) -> list[str]:
    problems = judge_tailscale(replace(facts, where="/t.sock"), domain, "ann")
    return [f"{problem.code}: {problem.sentence}" for problem in problems]


def test_node_that_can_have_a_certificate(ask: Ask, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    daemon = Tailscaled()
    facts = ask(daemon)
    assert facts == TailscaleFacts(
        where=path,
        state="Running",
        name=NAME,
        domains=(NAME,),
        addresses=("100.64.0.7", "fd7a:115c:a1e0::7"),
        may_fetch=True,
    )
    assert judge(facts) == judge(facts, None) == judge(facts, f"{NAME.upper()}.") == []
    assert daemon.asked[0] == "/localapi/v0/status?peers=false"


def test_asking_never_makes_tailscaled_ask_an_authority(ask: Ask) -> None:
    """Only for a name that could be one."""
    daemon = Tailscaled()
    ask(daemon)
    names = [asked.removeprefix("/localapi/v0/cert/") for asked in daemon.asked if "/cert/" in asked]
    assert names
    assert not any("." in name for name in names)


PROBLEMS = {
    "needs login": (
        Tailscaled(state="NeedsLogin", domains=None),
        "tailscale-not-connected: Tailscale is not logged in on this machine; sudo tailscale up",
    ),
    "needs an admin": (
        Tailscaled(state="NeedsMachineAuth"),
        "tailscale-not-connected: Tailscale waits for an admin of the tailnet on this machine; "
        "approve it under Machines in the admin console",
    ),
    "stopped": (
        Tailscaled(state="Stopped"),
        "tailscale-not-connected: Tailscale is switched off on this machine; sudo tailscale up",
    ),
    "starting": (
        Tailscaled(state="Starting"),
        "tailscale-not-connected: Tailscale is still connecting on this machine; "
        "see what it waits for: tailscale status",
    ),
    "a state of the future": (
        Tailscaled(state="Dreaming"),
        "tailscale-not-connected: Tailscale is Dreaming on this machine; see why: tailscale status",
    ),
    "no certificates in the tailnet": (
        Tailscaled(domains=None),
        "tailscale-https-off: this tailnet gives out no certificates: HTTPS is not enabled in it; "
        "in the admin console, under DNS: enable MagicDNS, then HTTPS Certificates",
    ),
    "no certificates in a tailnet of headscale's": (
        Tailscaled(name="hub.tail.example.com", domains=None),
        "tailscale-https-off: this tailnet gives out no certificates: hub.tail.example.com belongs to another "
        "control server, such as headscale; write tls.mode: internal, or tls.mode: files with a certificate of your "
        "own; keep media.interfaces",
    ),
    "no interface": (
        Tailscaled(tun=False),
        "tailscale-userspace: Tailscale runs without an interface here (userspace networking), so no client can "
        "reach media through it; start tailscaled without --tun=userspace-networking; it needs /dev/net/tun",
    ),
    "another node's name": (
        Tailscaled(name="box.tail1234.ts.net", domains=("box.tail1234.ts.net",)),
        "tailscale-wrong-name: hub.tail1234.ts.net is not this node: Tailscale has certificates for "
        "box.tail1234.ts.net; write domain: box.tail1234.ts.net, or rename the node: tailscale set --hostname=NAME",
    ),
    "no certificates for this user": (
        Tailscaled(permit_cert=False),
        f"tailscale-no-permission: tailscaled gives ann no certificates; {ALLOWED}",
    ),
    "not even a status for this user": (
        Tailscaled(permit_read=False, permit_cert=False),
        f"tailscale-no-permission: ann may not talk to tailscaled at /t.sock; {ALLOWED}",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_each_reason_for_no_certificate_has_its_remedy(ask: Ask, case: str) -> None:
    daemon, said = PROBLEMS[case]
    assert judge(ask(daemon)) == [said]


def test_node_without_a_certificate_for_its_own_name_is_reported(ask: Ask) -> None:
    """A control server may rename a node by halves. Nothing in the spec says a name, so nothing in it can be mended."""
    facts = ask(Tailscaled(domains=("studio.tail1234.ts.net",)))
    assert judge(facts, None) == [
        f"tailscale-wrong-name: this node is {NAME}, and Tailscale gives out certificates only for "
        "studio.tail1234.ts.net; "
        "if you have just renamed it, try again; otherwise: sudo tailscale set --hostname=NAME"
    ]


def test_two_reasons_are_said_at_once(ask: Ask) -> None:
    codes = [line.split(":")[0] for line in judge(ask(Tailscaled(domains=None, permit_cert=False)))]
    assert codes == ["tailscale-https-off", "tailscale-no-permission"]


def test_machine_without_tailscale_says_so(path: str) -> None:
    facts = ask_tailscale({"TS_SOCKET": path})
    assert facts == TailscaleFacts(path, "missing")
    assert judge(facts) == [
        "tailscale-no-daemon: there is no tailscaled here: /t.sock does not exist; "
        "start it: sudo systemctl start tailscaled; or install Tailscale, then: sudo tailscale up"
    ]


@pytest.mark.parametrize("where", ["/nowhere/" + "x" * 200, "/dev/null/t.sock"])
def test_place_that_can_be_no_socket_is_no_daemon(where: str) -> None:
    assert ask_tailscale({"TS_SOCKET": where}).failure == "missing"


def test_daemon_that_has_ended_says_so(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    facts = ask_tailscale({"TS_SOCKET": path})
    assert facts.failure == "refused"
    assert judge(facts) == [
        "tailscale-no-daemon: tailscaled is not running: nothing answers at /t.sock; "
        "start it: sudo systemctl start tailscaled"
    ]


def test_socket_that_is_closed_to_this_user_says_so(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may connect to everything, so the system's answer is given in its place."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    facts = ask_tailscale({"TS_SOCKET": path})
    assert facts.failure == "denied"
    assert judge(facts) == [f"tailscale-no-permission: ann may not talk to tailscaled at /t.sock; {ALLOWED}"]


@pytest.fixture
def answer(path: str) -> Iterator[Callable[[bytes | None], TailscaleFacts]]:
    """Ask something that answers each connection with these bytes, None: with nothing at all."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    connections: list[socket.socket] = []

    def ask_one(raw: bytes | None) -> TailscaleFacts:
        def serve() -> None:
            listener.accept()[0].close()  # a client that checks whether tailscaled is there
            connection, _ = listener.accept()
            connections.append(connection)
            if raw is not None:
                connection.recv(4096)
                connection.sendall(raw)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        facts = ask_tailscale({"TS_SOCKET": path})
        thread.join()
        return facts

    yield ask_one
    for opened in (listener, *connections):
        opened.close()


Answer = Callable[[bytes | None], TailscaleFacts]


def test_daemon_that_says_nothing_is_not_waited_for(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailscale, "ASK_SECONDS", 0.05)
    facts = answer(None)
    assert facts.failure == "silent"
    assert judge(facts) == [
        "tailscale-silent: tailscaled does not answer at /t.sock; restart it: sudo systemctl restart tailscaled"
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_10\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"Self":1}',
    ],
)
def test_something_else_at_that_place_is_recognised(answer: Answer, raw: bytes) -> None:
    facts = answer(raw)
    assert facts.failure == "strange"
    assert judge(facts)[0].startswith("tailscale-silent: what answers at /t.sock is not tailscaled; ")


def test_daemon_is_looked_for_where_caddy_does(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert find_daemon({}, "linux").where == "/var/run/tailscale/tailscaled.sock"
    assert find_daemon({}, "darwin", nowhere).where == "/var/run/tailscaled.socket"
    assert find_daemon({"TS_SOCKET": "/t.sock"}, "darwin").where == "/t.sock"


def test_standalone_mac_application_is_asked_on_its_port_with_its_password(tmp_path: Path) -> None:
    os.symlink("41112", tmp_path / "ipnport")
    assert find_daemon({}, "darwin", str(tmp_path)).where == "/var/run/tailscaled.socket", "without a password"
    (tmp_path / "sameuserproof-41112").write_text("secret-of-the-mac\n")
    daemon = find_daemon({}, "darwin", str(tmp_path))
    assert (daemon.where, daemon.port, daemon.password) == ("localhost:41112", 41112, "secret-of-the-mac")
    assert "secret-of-the-mac" not in repr(daemon)
    stopped = judge_tailscale(TailscaleFacts(daemon.where, "refused"), NAME, "ann")
    assert [problem.fix[0].text for problem in stopped] == ["start the Tailscale application"]
