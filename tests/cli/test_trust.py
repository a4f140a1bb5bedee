import hashlib
import json
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lkhub.checks.edge import ROOT_CHANGE_TOLD
from lkhub.host.ca import Ca
from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from tests.certificates import ensure_ca
from tests.cli.conftest import Run

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
URLS = ["http://192.168.1.5/trust", "https://192.168.1.5/trust"]

Record = Callable[[list[str] | None], None]


@pytest.fixture
def record(applied: StatePaths) -> Record:
    """Say in the record of what is in force where the root is served."""

    def write(urls: list[str] | None) -> None:
        kept = json.loads(Path(applied.applied).read_text())
        kept["urls"] |= {} if urls is None else {"trust": urls}
        write_private(applied.applied, json.dumps(kept))

    return write


@pytest.fixture
def root(applied: StatePaths, record: Record) -> Ca:
    """A hub that certifies itself."""
    record(URLS)
    return ensure_ca(applied, "hub", ("192.168.1.5", "fd00::5"), NOW)


def test_root_is_shown_with_its_fingerprint_and_where_it_is(run: Run, root: Ca) -> None:
    done = run("trust")
    assert (done.code, done.err) == (0, "")
    pairs = ssl_fingerprint(root)
    lines = [":".join(pairs[at : at + 8]) for at in range(0, 32, 8)]
    assert done.out.startswith(
        "  name         lkhub hub 2026-11-21\n"
        "  good for     192.168.1.5, fd00::5, and nothing else\n"
        "  until        2036-11-17\n"
        f"  file         {root.cert_path}\n"
        "  open         http://192.168.1.5/trust\n"
        "               https://192.168.1.5/trust\n"
        f"  fingerprint  {lines[0]}\n"
        f"               {lines[1]}\n"
        f"               {lines[2]}\n"
        f"               {lines[3]}\n"
    )
    assert "    curl -fo lkhub-hub.crt http://192.168.1.5/trust/root.crt\n" in done.out


@pytest.mark.parametrize("options", [(), ("--json",), ("--pem",)], ids=str)
def test_another_root_is_a_finding_for_a_week_and_reading_about_it_changes_nothing(
    run: Run, root: Ca, applied: StatePaths, options: tuple[str, ...]
) -> None:
    def find() -> list[str]:
        return [finding["code"] for finding in run("status", "--json").json["findings"]]

    kept = json.loads(Path(applied.applied).read_text())
    write_private(applied.applied, json.dumps({**kept, "ca": applied.ca_root}))
    assert find() == []
    Path(applied.root_change).write_text(json.dumps({"at": time.time(), "reason": "the earlier one ends"}))
    assert find() == ["root-changed"]
    assert run("trust", *options).code == 0
    assert find() == ["root-changed"]
    long_ago = time.time() - ROOT_CHANGE_TOLD.total_seconds() - 60
    Path(applied.root_change).write_text(json.dumps({"at": long_ago, "reason": "the earlier one ends"}))
    assert find() == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"at": null, "reason": "x"}'])
def test_record_of_another_root_that_can_not_be_read_is_no_finding(
    run: Run, root: Ca, applied: StatePaths, text: str
) -> None:
    kept = json.loads(Path(applied.applied).read_text())
    write_private(applied.applied, json.dumps({**kept, "ca": applied.ca_root}))
    Path(applied.root_change).write_text(text)
    assert run("status", "--json").json["findings"] == []


def ssl_fingerprint(root: Ca) -> list[str]:
    """The fingerprint's pairs, by other means than the command's."""
    der = ssl.PEM_cert_to_DER_cert(Path(root.cert_path).read_text())
    digest = hashlib.sha256(der).hexdigest().upper()
    return [digest[at : at + 2] for at in range(0, 64, 2)]


def test_every_kind_of_device_has_its_steps(run: Run, root: Ca) -> None:
    shown = run("trust").out
    for title in ("iPhone and iPad", "Android", "Windows", "macOS", "Linux", "Programs that use a LiveKit SDK"):
        assert f"\n{title}\n" in shown
    for command in (
        "certutil -addstore -f Root lkhub-hub.crt",
        "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain lkhub-hub.crt",
        "sudo update-ca-certificates",
        "sudo update-ca-trust",
        "sudo trust anchor --store lkhub-hub.crt",
        'certutil -d sql:$HOME/.pki/nssdb -A -t "C,," -n lkhub-hub -i lkhub-hub.crt',
    ):
        assert f"       {command}\n" in shown, "on a line of its own, never broken"


def test_hub_without_plain_http_is_asked_past_its_certificate(run: Run, root: Ca, record: Record) -> None:
    record(URLS[1:])
    assert "    curl -kfo lkhub-hub.crt https://192.168.1.5/trust/root.crt\n" in run("trust").out


def test_root_alone_is_on_stdout(run: Run, root: Ca) -> None:
    done = run("trust", "--pem")
    assert (done.code, done.err) == (0, "")
    assert done.out == Path(root.cert_path).read_text()
    assert done.out.startswith("-----BEGIN CERTIFICATE-----\n")


def test_json_is_one_document(run: Run, root: Ca) -> None:
    done = run("trust", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {
        "fingerprint": ":".join(ssl_fingerprint(root)),
        "subject": "lkhub hub 2026-11-21",
        "not_after": datetime(2036, 11, 17, 12, tzinfo=UTC).timestamp(),
        "names": ["192.168.1.5", "fd00::5"],
        "urls": URLS,
        "path": root.cert_path,
    }


def test_key_of_the_root_is_never_shown(run: Run, root: Ca) -> None:
    for options in ((), ("--pem",), ("--json",)):
        done = run("trust", *options)
        assert "PRIVATE" not in done.out + done.err
        assert Path(root.key_path).read_text().splitlines()[1] not in done.out


@pytest.mark.parametrize("options", [(), ("--pem",), ("--json",)])
def test_hub_that_has_never_been_up_has_no_root(run: Run, options: tuple[str, ...]) -> None:
    done = run("trust", *options)
    assert (done.code, done.out) == (1, "")
    assert "has not been up yet" in done.err
    assert "`lkhub up`" in done.err


@pytest.mark.parametrize("urls", [None, []])
def test_hub_whose_certificate_comes_from_elsewhere_says_so(run: Run, record: Record, urls: list[str] | None) -> None:
    record(urls)
    done = run("trust")
    assert (done.code, done.out) == (1, "")
    assert "no certificate authority of its own" in done.err
    assert "tls.mode: internal" in done.err


@pytest.mark.parametrize("text", [None, "", "nonsense"])
def test_root_that_is_lost_is_made_by_up(run: Run, root: Ca, text: str | None) -> None:
    Path(root.cert_path).unlink()
    if text is not None:
        Path(root.cert_path).write_text(text)
    done = run("trust")
    assert (done.code, done.out) == (1, "")
    assert f"the root certificate is missing at {root.cert_path}" in done.err
    assert "`lkhub up` makes it" in done.err


def test_two_forms_at_once_are_refused(run: Run, root: Ca) -> None:
    done = run("trust", "--pem", "--json")
    assert (done.code, done.out) == (2, "")
