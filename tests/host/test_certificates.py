from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tests.certificates import NOW, Made, dump_key, make
from tests.host.conftest import INTERMEDIATE, NAME, ROOT, CertificateFiles

DAY = timedelta(days=1)
QUARTER = (NOW - DAY, NOW + 89 * DAY)
ENDED = (NOW - 100 * DAY, NOW - 10 * DAY)
OLD = make("R3", ROOT, ca=True, valid=ENDED, organization="Test")
TWIN = make("R13", ROOT, ca=True, organization="Test")

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

Chain = Callable[[], tuple[Made, ...]]


def leaf(
    *names: str, valid: tuple[datetime, datetime] = QUARTER, usages: Sequence[ObjectIdentifier] = (SERVER,)
) -> Made:
    """A certificate as a public authority issues it."""
    own = names or (NAME,)
    return make(own[0], INTERMEDIATE, names=own, issuer_url="http://r13.test/", valid=valid, usages=usages)


GOOD: dict[str, tuple[Chain, tuple[str, ...]]] = {
    "as certbot writes it": (lambda: (leaf(), INTERMEDIATE), (NAME,)),
    "with its root": (lambda: (leaf(), INTERMEDIATE, ROOT), (NAME,)),
    "for more names than needed": (lambda: (leaf("a.example.com", NAME), INTERMEDIATE), (NAME,)),
    "in capitals": (lambda: (leaf("RTC.Example.com"), INTERMEDIATE), (NAME,)),
    "for every name of a domain": (lambda: (leaf("*.example.com"), INTERMEDIATE), (NAME, "turn.example.com")),
    "for addresses": (lambda: (leaf("192.0.2.7", "2001:db8::7"), INTERMEDIATE), ("192.0.2.7", "2001:DB8:0::7")),
    "for any usage": (lambda: (leaf(usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), INTERMEDIATE), (NAME,)),
    "of six days, two of them left": (lambda: (leaf(valid=(NOW - 4 * DAY, NOW + 2 * DAY)), INTERMEDIATE), (NAME,)),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_certificate_has_no_problem(files: CertificateFiles, case: str) -> None:
    chain, names = GOOD[case]
    files.write(*chain())
    assert files.judge(*names) == ""


BAD: dict[str, tuple[Chain, str]] = {
    "expired": (
        lambda: (leaf(valid=ENDED), INTERMEDIATE),
        "error certificate-expired: DIR/fullchain.pem expired on 2026-11-11; "
        "get a new certificate and write it to the same files; the hub loads it by itself",
    ),
    "with an expired intermediate": (
        lambda: (make(NAME, OLD, names=[NAME]), OLD),
        "error certificate-expired: CN=R3,O=Test in DIR/fullchain.pem expired on 2026-11-11; "
        "get a new certificate and write it to the same files; the hub loads it by itself",
    ),
    "of tomorrow": (
        lambda: (leaf(valid=(NOW + DAY, NOW + 90 * DAY)), INTERMEDIATE),
        "error certificate-not-yet-valid: DIR/fullchain.pem is valid from 2026-11-22, and the clock of this "
        "machine says 2026-11-21; see whether the clock is right: timedatectl",
    ),
    "that should have been renewed": (
        lambda: (leaf(valid=(NOW - 80 * DAY, NOW + 10 * DAY)), INTERMEDIATE),
        "warning certificate-expires-soon: DIR/fullchain.pem expires on 2026-12-01 and should have been renewed by "
        "now; get a new certificate and write it to the same files; the hub loads it by itself",
    ),
    "for another name": (
        lambda: (leaf("*.example.org", "www.example.org"), INTERMEDIATE),
        "error certificate-wrong-name: DIR/fullchain.pem is for *.example.org, www.example.org, "
        "not for rtc.example.com; get a certificate for rtc.example.com, or write domain: www.example.org",
    ),
    "for names above and below": (
        lambda: (leaf("*.com", "*.rtc.example.com", "example.com"), INTERMEDIATE),
        "error certificate-wrong-name: DIR/fullchain.pem is for *.com, *.rtc.example.com, example.com, "
        "not for rtc.example.com; get a certificate for rtc.example.com, or write domain: example.com",
    ),
    "for an address alone": (
        lambda: (leaf("192.0.2.7"), INTERMEDIATE),
        "error certificate-wrong-name: DIR/fullchain.pem is for 192.0.2.7, not for rtc.example.com; "
        "get a certificate for rtc.example.com",
    ),
    "with a common name only": (
        lambda: (make(NAME, INTERMEDIATE), INTERMEDIATE),
        "error certificate-no-san: DIR/fullchain.pem has no subject alternative name, only the common name "
        "rtc.example.com, which clients no longer read; get a certificate with rtc.example.com as subject "
        "alternative name",
    ),
    "for a client": (
        lambda: (leaf(usages=[CLIENT]), INTERMEDIATE),
        "error certificate-not-for-servers: DIR/fullchain.pem is not for servers: serverAuth is not among its extended "
        "key usages; get a certificate for a TLS server",
    ),
    "for nothing in particular": (
        lambda: (leaf(usages=()), INTERMEDIATE),
        "warning certificate-not-for-servers: DIR/fullchain.pem does not say that it is for servers, which Apple's "
        "devices require; get a certificate with the extended key usage serverAuth",
    ),
    "without its intermediate": (
        lambda: (leaf(),),
        "error certificate-incomplete: DIR/fullchain.pem has no chain: the certificate of its issuer, CN=R13,O=Test, "
        "is missing; applications refuse that even if browsers don't; "
        "write the file with the whole chain, or make one: cat cert.pem chain.pem > fullchain.pem",
    ),
    "with an intermediate that only has the same name": (
        lambda: (leaf(), TWIN),
        "error certificate-incomplete: DIR/fullchain.pem has no chain: the certificate of its issuer, CN=R13,O=Test, "
        "is missing; applications refuse that even if browsers don't; "
        "write the file with the whole chain, or make one: cat cert.pem chain.pem > fullchain.pem",
    ),
    "of an own authority, which clients may know": (
        lambda: (make(NAME, ROOT, names=[NAME]),),
        "warning certificate-incomplete: DIR/fullchain.pem has no chain: only clients that know CN=Root,O=Test as a "
        "root accept it; write the file with the whole chain, or make one: cat cert.pem chain.pem > fullchain.pem",
    ),
    "that signed itself": (
        lambda: (make(NAME, names=[NAME]),),
        "warning certificate-self-signed: DIR/fullchain.pem is self-signed: clients refuse it until each device is "
        "told to trust it; "
        "tls.mode internal makes certificates under a root that devices can trust once: lkhub trust",
    ),
    "that is an authority and signed itself": (
        lambda: (make(NAME, names=[NAME], ca=True, usages=[SERVER]),),
        "warning certificate-not-for-servers: DIR/fullchain.pem does not say that it is for servers, which Apple's "
        "devices require; get a certificate with the extended key usage serverAuth\n"
        "warning certificate-self-signed: DIR/fullchain.pem is self-signed: clients refuse it until each device is "
        "told to trust it; "
        "tls.mode internal makes certificates under a root that devices can trust once: lkhub trust",
    ),
    "whose chain is mixed up": (
        lambda: (make(NAME, further := make("R14", INTERMEDIATE, ca=True), names=[NAME]), INTERMEDIATE, further),
        "warning certificate-order: the chain in DIR/fullchain.pem is not in order, which some clients refuse; "
        "put each certificate after the one that it issued",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_certificate_that_clients_refuse_is_explained(files: CertificateFiles, case: str) -> None:
    chain, said = BAD[case]
    files.write(*chain())
    assert files.judge() == said


def test_own_certificate_behind_its_issuer_is_out_of_order(files: CertificateFiles) -> None:
    own = leaf()
    files.write(INTERMEDIATE, own, key=own.key_pem)
    assert files.judge() == (
        "error certificate-order: the certificate of the hub is not the first one in DIR/fullchain.pem; "
        "put it first, then the certificate of its issuer, then that issuer's own issuer"
    )


@pytest.mark.parametrize("key", [leaf().key_pem, dump_key(ec.generate_private_key(ec.SECP384R1()))])
def test_key_of_another_certificate_is_found(files: CertificateFiles, key: str) -> None:
    files.write(leaf(), INTERMEDIATE, key=key)
    assert files.judge() == (
        "error key-of-another-certificate: DIR/privkey.pem is the key of another certificate; "
        "take both from one folder, where they were issued together"
    )


def test_everything_is_said_at_once(files: CertificateFiles) -> None:
    files.write(leaf("other.example", valid=ENDED, usages=[CLIENT]), key=leaf().key_pem)
    assert [line.split(":")[0] for line in files.judge().splitlines()] == [
        "error certificate-wrong-name",
        "error certificate-not-for-servers",
        "error certificate-expired",
        "error certificate-incomplete",
        "error key-of-another-certificate",
    ]


@pytest.mark.parametrize(("given", "whole"), [("cert.pem", "fullchain.pem"), (f"{NAME}.cer", "fullchain.cer")])
def test_file_with_the_whole_chain_beside_it_is_named(files: CertificateFiles, given: str, whole: str) -> None:
    """certbot's cert.pem, and acme.sh's DOMAIN.cer."""
    own = make(NAME, INTERMEDIATE, names=[NAME])
    files.write(own)
    files.cert.unlink()
    (files.folder / given).write_text(own.pem)
    (files.folder / whole).write_text(own.pem + INTERMEDIATE.pem)
    assert files.judge(cert=files.folder / given).startswith("error certificate-incomplete: ")
    assert files.judge(cert=files.folder / given).endswith(f"; write tls.cert: DIR/{whole}")


def test_certbots_folder_is_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "letsencrypt" / "live" / NAME
    folder.mkdir(parents=True)
    files = CertificateFiles(folder)
    files.write(leaf(valid=ENDED), INTERMEDIATE)
    assert files.judge().endswith("; certbot renew")
