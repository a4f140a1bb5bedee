"""Reads certificates and keys from files that people provide, or says what these files are instead."""

import re
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from lkhub.errors import InputError
from lkhub.findings.catalogue.files import (
    certificate_damaged,
    certificate_not_pem,
    certificate_unreadable,
    key_damaged,
    key_encrypted,
    key_not_pem,
    key_unreadable,
)
from lkhub.findings.declare import Statement
from lkhub.findings.finding import Fix
from lkhub.host.files import read_input

# The form in which keys are compared.
PublicKey = bytes

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")

_COPY_ANEW = "copy the file again from its source"
_SWAPPED = "are tls.cert and tls.key swapped?"

# What people give in place of a certificate, by the label of the file's first block.
_INSTEAD = {
    "CERTIFICATE REQUEST": ("a request for a certificate", "write the file that the authority sent back"),
    "NEW CERTIFICATE REQUEST": ("a request for a certificate", "write the file that the authority sent back"),
    "PKCS7": ("a PKCS #7 bundle", "convert it: openssl pkcs7 -print_certs -in {path} -out fullchain.pem"),
    "TRUSTED CERTIFICATE": ("OpenSSL's own format", "convert it: openssl x509 -in {path} -out fullchain.pem"),
    "PUBLIC KEY": ("a public key", "write the file that has -----BEGIN CERTIFICATE-----"),
}


class UnusableFileError(Exception):
    """A file without a certificate or key that could be judged; `finding` says what it is instead."""

    def __init__(self, statement: Statement, about: Literal["cert", "key"], hint: str) -> None:
        super().__init__(statement.title)
        self.finding = statement.about(f"tls.{about}", fix=(Fix(hint),))


def load_certificates(path: str) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file, in its order. Raises UnusableFileError where there are none."""
    raw = _read(path, "cert")
    labels = _labels(raw)
    if "CERTIFICATE" not in labels:
        raise _explain_no_certificate(path, raw, labels)
    try:
        found = tuple(x509.load_pem_x509_certificates(raw))
        for certificate in found:
            # Both are parsed only when they are needed.
            certificate.public_key()
            list(certificate.extensions)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        message = f"{path} holds a certificate that can't be read: {_first_line(error)}"
        raise UnusableFileError(certificate_damaged(message), "cert", _COPY_ANEW) from None
    return found


def load_key(path: str) -> PublicKey:
    """The public half of the private key in a PEM file. Raises UnusableFileError where there is none."""
    raw = _read(path, "key")
    labels = _labels(raw)
    if not any(label.endswith("PRIVATE KEY") for label in labels):
        if "CERTIFICATE" in labels:
            raise UnusableFileError(key_not_pem(f"{path} is a certificate, not a key"), "key", _SWAPPED)
        message = f"{path} holds no private key in PEM"
        hint = "write the file that has -----BEGIN PRIVATE KEY-----"
        if raw[:1] == b"\x30":  # DER: an ASN.1 SEQUENCE
            hint = f"convert it: openssl pkey -inform der -in {path} -out privkey.pem"
        raise UnusableFileError(key_not_pem(message), "key", hint)
    try:
        key = serialization.load_pem_private_key(raw, None)
    except TypeError:
        message = f"{path} is encrypted, and the hub can't ask for its password when it starts"
        hint = f"write an unencrypted copy that only this user can read: openssl pkey -in {path} -out privkey.pem"
        raise UnusableFileError(key_encrypted(message), "key", hint) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        message = f"{path} holds a key that can't be read: {_first_line(error)}"
        raise UnusableFileError(key_damaged(message), "key", _COPY_ANEW) from None
    return dump_public(key.public_key())


def dump_public(key: object) -> PublicKey:
    """A public key, so that two can be compared."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, form)  # type: ignore[attr-defined,no-any-return]


def _read(path: str, about: Literal["cert", "key"]) -> bytes:
    try:
        return read_input(path)
    except InputError as error:
        hint = f"write the path of the file at tls.{about}"
        if isinstance(error.__cause__, PermissionError):
            hint = "run lkhub as root, or let this user read it; only root can read the folders of certbot"
        unreadable = certificate_unreadable if about == "cert" else key_unreadable
        raise UnusableFileError(unreadable(error.message), about, hint) from None


def _labels(raw: bytes) -> list[str]:
    return [label.decode() for label in _LABEL.findall(raw)]


def _explain_no_certificate(path: str, raw: bytes, labels: list[str]) -> UnusableFileError:
    if any(label.endswith("PRIVATE KEY") for label in labels):
        return UnusableFileError(certificate_not_pem(f"{path} is a key, not a certificate"), "cert", _SWAPPED)
    for label, (what, hint) in _INSTEAD.items():
        if label in labels:
            message = f"{path} is {what}, not a certificate in PEM"
            return UnusableFileError(certificate_not_pem(message), "cert", hint.format(path=path))
    message, hint = f"{path} is no certificate in PEM", "write the file that has -----BEGIN CERTIFICATE-----"
    if raw[:1] == b"\x30":  # DER: an ASN.1 SEQUENCE
        message, hint = f"{path} is binary, not PEM", f"convert it: {_conversion(path, raw)}"
    return UnusableFileError(certificate_not_pem(message), "cert", hint)


def _conversion(path: str, raw: bytes) -> str:
    try:
        x509.load_der_x509_certificate(raw)
    except ValueError:
        return f"openssl pkcs12 -in {path} -nodes -out both.pem, and write both.pem at tls.cert and tls.key"
    return f"openssl x509 -inform der -in {path} -out fullchain.pem"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
