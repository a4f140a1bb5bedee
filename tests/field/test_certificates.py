"""Certificates that clients refuse: of the hub itself (tls.mode: files), and of a proxy in front of it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certificates import Made, make
from tests.field.nginx import nginx
from tests.field.test_proxy import DOOR, HOST, WEBSOCKET, lead
from tests.kit.hub import Hub, make_hub
from tests.namespaces.front import NAME
from tests.namespaces.lan import HUB, PORTS, Lan

NOW = datetime.now(UTC)
VALID = (NOW - timedelta(hours=1), NOW + timedelta(days=1))
OVER = (NOW - timedelta(days=2), NOW - timedelta(days=1))

_ROOT = make("My Root", ca=True, valid=VALID)
_BETWEEN = make("My Issuer", _ROOT, ca=True, valid=VALID)

# What the server sends, whether this machine has the root, the reason, and what a person is told.
CHAINS: dict[str, tuple[list[Made], bool, str, list[str], list[str]]] = {
    "whole-and-private": (
        [make("", _BETWEEN, names=[NAME], valid=VALID), _BETWEEN],
        False,
        "unknown-issuer",
        ["somebody's own", "update-ca-certificates", "SSL_CERT_FILE"],
        ["not decided", "fullchain.pem", "ws://"],
    ),
    "leaf-alone": (
        [make("", _BETWEEN, names=[NAME], valid=VALID)],
        True,
        "unknown-issuer",
        ["not decided", "My Issuer", "fullchain.pem", "update-ca-certificates"],
        ["ws://"],
    ),
    "leaf-alone-of-a-public-authority": (
        [make("", _BETWEEN, names=[NAME], valid=VALID, issuer_url="http://i.example.com/my.crt")],
        True,
        "chain-gap",
        ["without that of My Issuer", "fullchain.pem"],
        ["not decided", "update-ca-certificates", "ws://"],
    ),
    "expired": (
        [make("", _BETWEEN, names=[NAME], valid=OVER), _BETWEEN],
        True,
        "expired",
        ["renewed", "date"],
        ["ws://"],
    ),
    "of-another-name": (
        [make("", _BETWEEN, names=["old.example.com"], valid=VALID), _BETWEEN],
        True,
        "wrong-name",
        ["old.example.com", f"a certificate for {NAME}"],
        ["ws://"],
    ),
}


def write(folder: Path, chain: list[Made]) -> None:
    (folder / "served.pem").write_text("".join(made.pem for made in chain))
    (folder / "key.pem").write_text(chain[0].key_pem)
    (folder / "root.pem").write_text(_ROOT.pem)


def judge(hub: Hub, reason: str, said: list[str], unsaid: list[str]) -> None:
    paths = json.loads(hub.run("verify", "--path", "udp", "--path", "tcp", "--json").stdout)["paths"]
    assert {(path["stage"], path["reason"]) for path in paths} == {("tls", reason)}, paths
    done = hub.run("verify", "--path", "udp", "--path", "tcp")
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert text.count("[path-fails]") == 1, text
    assert [words for words in said if words not in text] == [], text
    assert [words for words in unsaid if words in text] == [], text


# What the hub says of its files before it starts with them: what is wrong for sure.
PREVENTED = {
    "leaf-alone-of-a-public-authority": "has no chain: CN=My Issuer, which issued it, is missing",
    "expired": "ended on",
    "of-another-name": f"is for old.example.com, not for {NAME}",
}


@pytest.mark.case("private-ca-files")
@pytest.mark.parametrize("name", CHAINS)
def test_certificate_files(lan: Lan, tmp_path: Path, name: str) -> None:
    chain, has_root, reason, said, unsaid = CHAINS[name]
    write(tmp_path, chain)
    lan.name_hosts({NAME: HUB})
    with make_hub(lan.hub.prefix, PORTS) as hub:
        if has_root:
            hub.environ["SSL_CERT_FILE"] = str(tmp_path / "root.pem")
        hub.spec.write_text(
            f"reach: lan\ndomain: {NAME}\nmedia: {{advertise: {HUB}}}\n"
            f"tls: {{mode: files, cert: {tmp_path}/served.pem, key: {tmp_path}/key.pem}}\n"
        )
        if name in PREVENTED:
            done = hub.run("up", "--detach")
            assert (done.returncode, PREVENTED[name] in " ".join(done.stderr.split())) == (2, True), done.stderr
            return
        hub.up("--no-verify")
        judge(hub, reason, [*said, *(["tls.cert"] if "fullchain.pem" in said else [])], unsaid)


@pytest.mark.parametrize("name", CHAINS)
def test_certificate_of_the_proxy(lan: Lan, tmp_path: Path, name: str) -> None:
    chain, has_root, reason, said, unsaid = CHAINS[name]
    write(tmp_path, chain)
    lan.name_hosts({NAME: HUB})
    with make_hub(lan.hub.prefix, PORTS) as hub:
        if has_root:
            hub.environ["SSL_CERT_FILE"] = str(tmp_path / "root.pem")
        hub.spec.write_text(f"reach: lan\ndomain: {NAME}\nmedia: {{advertise: {HUB}}}\ntls: {{mode: external}}\n")
        hub.up("--no-verify")
        with nginx(lan.hub, tmp_path, "served", lead(DOOR, WEBSOCKET, HOST)):
            judge(hub, reason, [*said, *(["ssl_certificate"] if "fullchain.pem" in said else [])], unsaid)
