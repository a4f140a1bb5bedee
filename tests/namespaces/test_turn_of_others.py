"""A hub whose clients use an external TURN server: a real coturn."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make
from tests.kit.coturn import PORT, TLS_PORT, Coturn, coturn
from tests.kit.hub import Hub, make_hub
from tests.kit.netns import dropping
from tests.namespaces.lan import HUB, PORTS, Lan, call_from, make_lan, on_client

NAME = "turn.example.com"
SECRET = "CANARYshared"

SHARED = f"use-auth-secret\nstatic-auth-secret={SECRET}"
LOGIN = f"lt-cred-mech\nuser=hub:{SECRET}"

DIRECT = ("iifname lan0 udp dport 7882", "iifname lan0 tcp dport 7881")

Serve = Callable[[str], AbstractContextManager[Coturn]]


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with make_lan() as made:
        made.name_hosts({NAME: HUB})
        yield made


@pytest.fixture
def serve(lan: Lan, tmp_path: Path) -> Serve:
    """`with serve(login)`: coturn on the hub's machine; `login` are the lines of its configuration for
    authentication."""
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=1))
    root = make("root", ca=True, valid=valid)
    leaf = make("", root, names=[NAME], valid=valid)
    for name, text in (("root.pem", root.pem), ("cert.pem", leaf.pem), ("key.pem", leaf.key_pem)):
        (tmp_path / name).write_text(text)

    def start(login: str) -> AbstractContextManager[Coturn]:
        return coturn(lan.hub, HUB, tmp_path, login, tmp_path / "cert.pem", tmp_path / "key.pem")

    return start


@contextmanager
def hub_with(lan: Lan, external: str, enabled: str = "false") -> Iterator[Hub]:
    """A hub whose own relay is off; `external` are its TURN servers."""
    with make_hub(lan.hub.prefix, PORTS) as hub:
        (hub.folder / "coturn.secret").write_text(f"{SECRET}\n")
        hub.environ["COTURN"] = SECRET
        hub.spec.write_text(
            f"reach: lan\nmedia: {{advertise: {HUB}}}\ntls: {{mode: off}}\n"
            f"turn: {{enabled: {enabled}, external: [{external}]}}\n"
        )
        hub.up("--no-verify")
        yield hub


def verify(hub: Hub, lan: Lan, root: Path, *paths: str) -> dict[str, dict[str, Any]]:
    """What `lkhub verify` says on the client's machine, by path."""
    client = on_client(hub, lan.client)
    client.environ["SSL_CERT_FILE"] = str(root)
    wanted = [part for path in paths for part in ("--path", path)]
    done = client.run("verify", "--url", client.environ["LIVEKIT_URL"], "--json", *wanted)
    assert done.stdout, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return {path["path"]: path for path in json.loads(done.stdout)["paths"]}


@pytest.mark.parametrize(
    ("login", "auth"),
    [
        (SHARED, "secret: {file: coturn.secret}"),
        (SHARED, "secret: {env: COTURN}"),
        (LOGIN, f"username: hub, credential: {SECRET}"),
    ],
    ids=["shared-secret-from-a-file", "shared-secret-from-the-environment", "login"],
)
def test_who_reaches_nothing_else_is_heard_through_coturn(
    lan: Lan, serve: Serve, tmp_path: Path, login: str, auth: str
) -> None:
    servers = f'{{url: "turn:{HUB}:{PORT}?transport=udp", {auth}}}, {{url: "turns:{NAME}:{TLS_PORT}", {auth}}}'
    with serve(login) as server, hub_with(lan, servers) as hub, dropping(lan.hub, *DIRECT):
        found = verify(hub, lan, tmp_path / "root.pem", "turn-udp", "turn-tls")
        assert [found[path]["ok"] for path in ("turn-udp", "turn-tls")] == [True, True], f"{found}\n{server.said()}"
        assert found["turn-udp"]["relay"] == f"turn:{HUB}:{PORT}?transport=udp"
        with call_from(on_client(hub, lan.client), "relayed") as call:
            call.wait_connected("relay", "relay")
        shown = [hub.log(name) for name in ("media", "serve")] + [hub.run("status", "--json").stdout]
        assert SECRET not in "".join(shown)
        done = hub.run("render", "livekit", "-o", str(tmp_path / "shown"))
        assert done.returncode == 0, done.stderr
        assert SECRET not in (tmp_path / "shown" / "livekit.yaml").read_text()


def test_a_wrong_secret_is_named(lan: Lan, serve: Serve, tmp_path: Path) -> None:
    wrong = f'{{url: "turn:{HUB}:{PORT}?transport=udp", secret: notthesame}}'
    with serve(SHARED), hub_with(lan, wrong) as hub:
        found = verify(hub, lan, tmp_path / "root.pem", "turn-udp")["turn-udp"]
    assert (found["ok"], found["stage"]) == (False, "gather"), found
    assert "it refuses the name and password" in found["detail"], found
    assert "401" in found["detail"], found


def test_nothing_of_the_hub_is_blamed_where_coturn_is_not_there(lan: Lan) -> None:
    servers = f'{{url: "turn:{HUB}:{PORT}?transport=udp", secret: x}}, {{url: "turns:{NAME}:{TLS_PORT}", secret: x}}'
    with hub_with(lan, servers) as hub:
        done = hub.run("verify", "--path", "turn-udp", "--path", "turn-tls")
    assert done.returncode == 1
    text = " ".join(done.stderr.split())
    assert text.count("[path-fails]") == 2, text
    for port in (f"{HUB}:{PORT}", f"{HUB}:{TLS_PORT}"):
        assert port in text, text
    assert text.count("`systemctl status coturn`") == 2, text
    assert [words for words in ("lkhub logs", "lkhub status", "lkhub firewall", "turn.udp") if words in text] == [], (
        text
    )
