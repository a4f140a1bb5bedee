"""The certificate that a port serves."""

import contextlib
import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from lkhub.host.tls import Answered, ask_over_tls, serves_certificate
from tests.certificates import Made, make
from tests.waiting import DEADLINE_SECONDS

NAME = "rtc.example.com"
HERE = ip_address("127.0.0.1")


@pytest.fixture
def made() -> Made:
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=1))
    return make("", make("root", ca=True, valid=valid), names=[NAME], valid=valid)


@contextmanager
def serving(made: Made, folder: Path, says: bytes = b"") -> Iterator[tuple[int, list[str], list[bytes]]]:
    """A TLS server: its port, the server names of its clients, and the data that it gets after the handshake."""
    (folder / "pair.pem").write_text(made.pem + made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    asked: list[str] = []
    told: list[bytes] = []
    context.sni_callback = lambda connection, name, _: asked.append(str(name))

    def answer() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            told.append(secured.recv(1000))
            secured.sendall(says)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1], asked, told
        thread.join()


@pytest.mark.parametrize("own", [True, False])
def test_port_is_ours_if_it_serves_our_certificate(made: Made, tmp_path: Path, own: bool) -> None:
    leaf = hashlib.sha256(made.certificate.public_bytes(Encoding.DER)).hexdigest()
    with serving(made, tmp_path) as (port, asked, told):
        assert serves_certificate(HERE, port, NAME, {leaf if own else "0" * 64}, 5.0) is own
    assert asked == [NAME]
    assert told == [b""], "nothing is said to it"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [("200 OK", '{"instance": "x"}', '{"instance": "x"}'), ("404 Not Found", "no", ""), ("200 OK", "", "")],
)
def test_what_answers_is_asked_by_the_hubs_name(
    made: Made, tmp_path: Path, status: str, body: str, expected: str
) -> None:
    leaf = hashlib.sha256(made.certificate.public_bytes(Encoding.DER)).hexdigest()
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with serving(made, tmp_path, answer.encode()) as (port, asked, told):
        assert ask_over_tls(HERE, port, NAME, "/api/request-info", 5.0) == Answered(leaf, expected)
    assert asked == [NAME]
    assert told[0].startswith(b"GET /api/request-info HTTP/1.1\r\nHost: " + f"{NAME}:{port}\r\n".encode())
    assert b"uthorization" not in told[0]


def test_answer_that_does_not_end_is_not_waited_for(made: Made, tmp_path: Path) -> None:
    """As of a camera, whose picture comes byte by byte."""
    (tmp_path / "pair.pem").write_text(made.pem + made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    def drip() -> None:
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1000)
            secured.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                secured.sendall(b"x")
                time.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        answered = ask_over_tls(HERE, listener.getsockname()[1], NAME, "/api/way", 2.0)
        thread.join(DEADLINE_SECONDS)
    assert answered is not None
    assert answered.body == ""


@pytest.mark.parametrize("location", ["http:x", "http://[", "javascript:x"])
def test_redirect_to_what_is_no_url_is_an_answer(made: Made, tmp_path: Path, location: str) -> None:
    says = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    with serving(made, tmp_path, says.encode()) as (port, _, _):
        answered = ask_over_tls(HERE, port, NAME, "/api/way", 5.0)
    assert answered is not None
    assert answered.body == ""


def test_server_without_http_or_answer_is_unknown(made: Made, tmp_path: Path) -> None:
    with serving(made, tmp_path, b"220 mail.example.com ESMTP\r\n") as (port, _, _):
        assert ask_over_tls(HERE, port, NAME, "/api/request-info", 5.0) is None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert ask_over_tls(HERE, port, NAME, "/api/request-info", 0.1) is None


def test_port_that_serves_nothing_is_not_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not serves_certificate(HERE, port, NAME, {"0" * 64}, 0.1)
    assert not serves_certificate(HERE, port, NAME, {"0" * 64}, 0.1)
