"""The content of certificate files, checked through `judge_certificate`, as users see it."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from lkhub.errors import InputError
from lkhub.host import pem
from tests.certificates import Made, dump_key, make
from tests.host.conftest import INTERMEDIATE, NAME, CertificateFiles


@pytest.fixture
def own(files: CertificateFiles) -> Made:
    """A certificate, in its files."""
    made = make(NAME, INTERMEDIATE, names=[NAME])
    files.write(made, INTERMEDIATE)
    return made


def openssl(arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            "x509 -in good.pem -outform der",
            "is binary, not PEM; convert it: openssl x509 -inform der -in DIR/fullchain.pem -out fullchain.pem",
        ),
        (
            "pkcs12 -export -passout pass: -in good.pem -inkey privkey.pem",
            "is binary, not PEM; convert it: openssl pkcs12 -in DIR/fullchain.pem -nodes -out both.pem, "
            "and write both.pem at tls.cert and tls.key",
        ),
        (
            "crl2pkcs7 -nocrl -certfile good.pem",
            "is a PKCS #7 bundle, not a certificate in PEM; "
            "convert it: openssl pkcs7 -print_certs -in DIR/fullchain.pem -out fullchain.pem",
        ),
        (
            "x509 -in good.pem -trustout",
            "is OpenSSL's own format, not a certificate in PEM; "
            "convert it: openssl x509 -in DIR/fullchain.pem -out fullchain.pem",
        ),
        (
            "req -new -key privkey.pem -subj /CN=x",
            "is a request for a certificate, not a certificate in PEM; write the file that the authority sent back",
        ),
        ("pkey -in privkey.pem", "is a key, not a certificate; are tls.cert and tls.key swapped?"),
        (
            "pkey -in privkey.pem -pubout",
            "is a public key, not a certificate in PEM; write the file that has -----BEGIN CERTIFICATE-----",
        ),
    ],
    ids=lambda value: value.split()[0],
)
def test_what_is_given_in_place_of_a_certificate_is_recognised(
    files: CertificateFiles, own: Made, made: str, said: str
) -> None:
    (files.folder / "good.pem").write_text(own.pem)
    openssl(f"{made} -out fullchain.pem", files.folder)
    assert files.judge() == f"error certificate-not-pem: DIR/fullchain.pem {said}"


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"\x30\x82 no DER", b"-----BEGIN CERTIFICATE", b"\xff\x00" * 99])
def test_certificate_that_is_none_is_refused(files: CertificateFiles, own: Made, raw: bytes) -> None:
    files.cert.write_bytes(raw)
    assert files.judge().startswith("error certificate-not-pem: ")


@pytest.mark.parametrize("cut", [100, 300, -40])
def test_damaged_certificate_is_refused(files: CertificateFiles, own: Made, cut: int) -> None:
    end = "-----END CERTIFICATE-----\n"
    files.cert.write_text(own.pem.removesuffix(end)[:cut] + "\n" + end)
    assert files.judge().startswith("error certificate-damaged: DIR/fullchain.pem holds a certificate that can't be")


def test_key_that_is_none_is_explained(files: CertificateFiles, own: Made) -> None:
    files.key.write_text(own.pem)
    swapped = "error key-not-pem: DIR/privkey.pem is a certificate, not a key; are tls.cert and tls.key swapped?"
    assert files.judge() == swapped
    none = "error key-not-pem: DIR/privkey.pem holds no private key in PEM; "
    files.key.write_text("")
    assert files.judge() == f"{none}write the file that has -----BEGIN PRIVATE KEY-----"
    der = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files.key.write_bytes(own.key.private_bytes(*der))
    assert files.judge() == f"{none}convert it: openssl pkey -inform der -in DIR/privkey.pem -out privkey.pem"
    files.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert files.judge().startswith("error key-damaged: DIR/privkey.pem holds a key that can't be read: ")


@pytest.mark.parametrize("form", ["pkcs8", "traditional"])
def test_encrypted_key_is_refused_before_the_edge_would(files: CertificateFiles, own: Made, form: str) -> None:
    files.key.write_text(dump_key(own.key, b"secret"))
    if form == "traditional":
        (files.folder / "plain.pem").write_text(own.key_pem)
        openssl("ec -in plain.pem -aes128 -passout pass:secret -out privkey.pem", files.folder)
    assert files.judge() == (
        "error key-encrypted: DIR/privkey.pem is encrypted, and the hub can't ask for its password when it "
        "starts; write an unencrypted copy that only this user can read: "
        "openssl pkey -in DIR/privkey.pem -out privkey.pem"
    )


def test_forms_of_keys_that_tools_write_are_read(files: CertificateFiles, own: Made) -> None:
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        files.key.write_bytes(own.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        assert files.judge() == ""
    text = files.key.read_text()
    files.key.write_text(f"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{text}")
    assert files.judge() == "", "as openssl ecparam -genkey writes it"
    files.key.write_text(own.key_pem + own.pem + INTERMEDIATE.pem)
    assert files.judge(cert=files.key) == "", "all in one file, as HAProxy has it"


def test_files_that_are_not_there_are_named(files: CertificateFiles) -> None:
    assert files.judge().splitlines() == [
        "error certificate-unreadable: can't read DIR/fullchain.pem: no such file or directory; "
        "write the path of the file at tls.cert",
        "error key-unreadable: can't read DIR/privkey.pem: no such file or directory; "
        "write the path of the file at tls.key",
    ]


def test_file_that_is_roots_alone_says_so(files: CertificateFiles, own: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> bytes:
        raise InputError(f"can't read {path}: permission denied") from PermissionError()

    monkeypatch.setattr(pem, "read_input", refuse)
    assert "permission denied; run lkhub as root, or let this user read it" in files.judge()
