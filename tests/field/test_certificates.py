"""Certificates that clients refuse: those of the hub itself (tls.mode: files), and those of a proxy in front of it."""

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certificates import Made, make
from tests.field.nginx import nginx
from tests.field.test_proxy import HOST, UPSTREAM, WEBSOCKET, lead
from tests.kit.hub import Hub, make_hub
from tests.kit.nobody import as_nobody
from tests.namespaces.lan import HUB, PORTS, Lan, call_from, on_client
from tests.namespaces.proxied import NAME
from tests.waiting import wait_until

NOW = datetime.now(UTC)
VALID = (NOW - timedelta(hours=1), NOW + timedelta(days=1))
OVER = (NOW - timedelta(days=2), NOW - timedelta(days=1))

_ROOT = make("My Root", ca=True, valid=VALID)
_BETWEEN = make("My Issuer", _ROOT, ca=True, valid=VALID)

# The chain that the server sends, whether this machine has the root, the reason code, and the text.
CHAINS: dict[str, tuple[list[Made], bool, str, list[str], list[str]]] = {
    "whole-and-private": (
        [make("", _BETWEEN, names=[NAME], valid=VALID), _BETWEEN],
        False,
        "unknown-issuer",
        ["a private authority", "update-ca-certificates", "SSL_CERT_FILE"],
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
    "leaf-alone-of-a-public-authority": "has no chain: the certificate of its issuer, CN=My Issuer, is missing",
    "expired": "expired on",
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
        with nginx(lan.hub, tmp_path, "served", lead(UPSTREAM, WEBSOCKET, HOST)):
            judge(hub, reason, [*said, *(["ssl_certificate"] if "fullchain.pem" in said else [])], unsaid)


class Certbot:
    """/etc/letsencrypt as certbot keeps it: numbered files below archive, links to the latest below live, both root's
    own."""

    def __init__(self, folder: Path) -> None:
        self.live = folder / "letsencrypt/live" / NAME
        self.archive = folder / "letsencrypt/archive" / NAME
        for made in (self.live, self.archive):
            made.mkdir(parents=True)
            made.parent.chmod(0o700)
        self.number = 0

    def renew(self) -> Made:
        """Another certificate: first its files, then one link after the other (certbot's storage.py)."""
        leaf = make("", _BETWEEN, names=[NAME], valid=VALID)
        self.number += 1
        texts = {"privkey": leaf.key_pem, "cert": leaf.pem, "chain": _BETWEEN.pem, "fullchain": leaf.pem + _BETWEEN.pem}
        for name, text in texts.items():
            (self.archive / f"{name}{self.number}.pem").write_text(text)
        (self.archive / f"privkey{self.number}.pem").chmod(0o600)
        for name in texts:
            link = self.live / f"{name}.pem"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../archive/{NAME}/{name}{self.number}.pem")
        return leaf


_SERVED = """
import ssl, sys
print(ssl.get_server_certificate((sys.argv[1], 443), timeout=10))
"""


@pytest.mark.case("certbot-files")
def test_files_of_certbot_are_used_and_its_renewals_taken_up(lan: Lan, tmp_path: Path) -> None:
    certbot = Certbot(tmp_path)
    first = certbot.renew()
    (tmp_path / "root.pem").write_text(_ROOT.pem)
    lan.name_hosts({NAME: HUB})

    def served() -> str:
        return lan.client.run(sys.executable, "-c", _SERVED, NAME).strip()

    with make_hub(lan.hub.prefix, PORTS) as hub:
        hub.environ["SSL_CERT_FILE"] = str(tmp_path / "root.pem")
        hub.spec.write_text(
            f"reach: lan\ndomain: {NAME}\nmedia: {{advertise: {HUB}}}\n"
            f"tls: {{mode: files, cert: {certbot.live}/fullchain.pem, key: {certbot.live}/privkey.pem}}\n"
        )
        done = hub.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("verified ") == 4
        assert served() == first.pem.strip()
        client = on_client(hub, lan.client)
        client.environ["SSL_CERT_FILE"] = str(tmp_path / "root.pem")
        before = hub.pids()
        with call_from(client, "renewed") as call:
            call.watch()
            second = certbot.renew()
            wait_until(lambda: served() == second.pem.strip(), "the renewed certificate is served")
            _, reconnects = call.disturbance()
        assert (hub.pids(), reconnects) == (before, 0)
        assert [finding["code"] for finding in hub.findings() if finding["severity"] == "error"] == []


@pytest.mark.case("certbot-files")
def test_files_of_certbot_that_only_root_may_read_are_named(lan: Lan, tmp_path: Path) -> None:
    lan.name_hosts({NAME: HUB})
    with (
        tempfile.TemporaryDirectory(prefix="nobody-") as folder,
        make_hub(lan.hub.prefix, PORTS) as hub,
    ):
        Path(folder).chmod(0o755)
        certbot = Certbot(Path(folder))
        certbot.renew()
        hub.spec.write_text(
            f"reach: lan\ndomain: {NAME}\nmedia: {{advertise: {HUB}}}\ntls: {{mode: files, listen: 8443, http: 8081, "
            f"cert: {certbot.live}/fullchain.pem, key: {certbot.live}/privkey.pem}}\n"
        )
        with as_nobody(hub, Path(folder)):
            done = hub.run("up", "--detach")
        said = " ".join(done.stderr.split())
        assert done.returncode in (2, 3), said
        assert str(certbot.live / "fullchain.pem") in said
        assert "root" in said, said
